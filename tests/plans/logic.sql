SELECT COUNT(*) AS n
FROM admission
WHERE NOT (age < 18 OR age > 80 OR sex = 'F')
  AND (ward = 1 OR ward = '2')
  AND NOT (NOT died = 'Y')
  AND TRUE
  AND (FALSE OR consciousness IS NULL OR consciousness NOT IN ('F'))
  AND 40 <= age AND 年龄 IN (50, 60)
