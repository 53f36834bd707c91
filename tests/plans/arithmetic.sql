SELECT -COUNT(*) AS minus, (COUNT(*) - COUNT(cost)) / COUNT(*) * (2 * 50) AS missing, SUM(cost) / 1000 + 0.5 AS thousands,
       AVG(cost) - AVG(cost) FILTER (WHERE cost >= 100) AS difference, 1 / 3 * COUNT(*) AS third
FROM visit
ORDER BY minus / 2, thousands;
