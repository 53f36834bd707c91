SELECT YEAR(admitted), MONTH_OF_YEAR(admitted), WEEKDAY("出院日"), COUNT(*) FROM admission GROUP BY 1, 2, 3
