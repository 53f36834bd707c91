SELECT site.country, site.level, AVG(age) FILTER (WHERE sex <> 'M' AND died IS NOT NULL) AS mean_age
FROM admission
GROUP BY site.country, site.level
