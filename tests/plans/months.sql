SELECT DATE_TRUNC('month', admitted) AS month, COUNT(*) AS n
FROM admission
WHERE admitted >= '2019-03-05' AND admitted < '2019-12-01'
GROUP BY MONTH(admitted)
ORDER BY MONTH(admitted) DESC
