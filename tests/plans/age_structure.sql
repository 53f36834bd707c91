SELECT BAND(a.age, 10) AS band, a.sex, COUNT(DISTINCT a.patient_id) AS patients
FROM "admission" AS a
GROUP BY 1, sex
ORDER BY 1
