SELECT country, v.n / d.n AS visits_per_admission, 100 * (v.n - d.n) / d.men AS more
FROM (SELECT site.country, COUNT(*) AS n FROM visit WHERE cost > 0 GROUP BY site.country) AS v
JOIN (
  SELECT site.country, COUNT(*) AS n, COUNT(*) FILTER (WHERE sex = 'M') AS men FROM admission GROUP BY site.country
) AS d USING (country)
WHERE d.men > 10
ORDER BY visits_per_admission DESC, country
LIMIT 2
