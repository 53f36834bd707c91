SELECT WEEK(admitted) AS w, QUARTER(出院日) AS q, DAY(admitted) AS d, COUNT(*)
FROM admission
WHERE admitted BETWEEN '2019-12-28' AND '2020-01-06'
GROUP BY w, q, d
