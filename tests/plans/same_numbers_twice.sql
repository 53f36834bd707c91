SELECT COUNT(*) AS a, COUNT(*) AS b, AVG(age) AS c, COUNT(*) FILTER (WHERE sex = 'M' AND died = 'Y') AS d,
       COUNT(*) FILTER (WHERE died = 'Y' AND sex = 'M') AS e
FROM admission
