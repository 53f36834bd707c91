-- Deaths by consciousness at admission: a rate is a ratio of two counts.
SELECT consciousness AS 意识,
       COUNT(*) AS 人次,
       100.0 * COUNT(*) FILTER (WHERE died = 'Y') / COUNT(*) AS 死亡率
FROM admission
WHERE age >= 65 AND site.country IN ('UK', 'FR') AND admitted BETWEEN DATE '2019-01-15' AND '2020-02-01'
GROUP BY 意识
HAVING COUNT(*) > 20
ORDER BY 死亡率 DESC, 1
LIMIT 5
