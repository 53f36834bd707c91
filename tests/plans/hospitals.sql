select SITE, Count(*) as n from ADMISSION where not (site = 'lyon' or site.COUNTRY = 'CN') group by site having n between 5 and 500 or not n <> 3
