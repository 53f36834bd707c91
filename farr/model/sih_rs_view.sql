-- Admissions of SIH/SUS (file RD) with the age in years beside IDADE, whose unit is in COD_IDADE: 2 days, 3 months,
-- 4 years, 5 years above 100. In DuckDB, with the file's place in the variable `source`:
--     SET VARIABLE source = 'sih_rs_2019_hospitals_a.csv.gz';
CREATE OR REPLACE VIEW farr_discharge AS
SELECT
    *,
    CASE COD_IDADE
        WHEN '4' THEN CAST(IDADE AS INTEGER)
        WHEN '5' THEN 100 + CAST(IDADE AS INTEGER)
        WHEN '2' THEN 0
        WHEN '3' THEN 0
    END AS AGE_YEARS
FROM read_csv(getvariable('source'), header = true, all_varchar = true);
