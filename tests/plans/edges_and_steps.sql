SELECT BAND(weight, 40, 72.5, 100), AVG(weight), SUM(change), COUNT(weight)
FROM admission
WHERE weight > 2.55 AND weight <= 250 AND change BETWEEN -10.5 AND 10.5
GROUP BY BAND(weight, 40.0, 72.5, 100)
