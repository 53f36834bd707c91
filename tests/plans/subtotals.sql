SELECT sex AS 性别, YEAR(admitted) AS y, COUNT(*) AS n, 100 * COUNT(*) FILTER (WHERE died = 'Y') / COUNT(*) AS rate
FROM admission
WHERE admitted BETWEEN '2019-01-01' AND '2020-12-31'
GROUP BY ROLLUP (sex, YEAR(admitted))
ORDER BY n DESC
