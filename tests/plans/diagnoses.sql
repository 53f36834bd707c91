SELECT LEVEL(dx_main, 'block') AS block, COUNT(*) AS n
FROM admission
WHERE LEVEL(dx_main, 'chapter') = 'IX' AND dx_main NOT LIKE 'I6%' OR dx_main IN ('G45', 'G46', 'G45')
GROUP BY LEVEL(dx_main, 'BLOCK')
