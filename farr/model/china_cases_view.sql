-- The monthly counts as one row for each case, so that a case is what the privacy protects: a case report of which
-- only the month, the province and the disease are known. There are millions a year: name the diseases.
-- In DuckDB, with two variables:
--     SET VARIABLE source = 'china_notifiable_2004_2014.parquet';
--     SET VARIABLE diseases = ['Influenza', 'Dengue'];
CREATE OR REPLACE VIEW farr_case_report AS
SELECT
    ADCode,
    Date,
    Diseases,
    number,
    CASE WHEN number < CAST(CAST(nullif(Deaths, '') AS DOUBLE) AS INTEGER) THEN 'Y' ELSE 'N' END AS death
FROM (
    SELECT *, unnest(range(CAST(CAST(nullif(Cases, '') AS DOUBLE) AS INTEGER))) AS number
    FROM read_parquet(getvariable('source'))
    WHERE ADCode <> '100000' AND list_contains(getvariable('diseases'), Diseases)
) AS cases;
