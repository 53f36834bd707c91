-- Four of the common model's tables as views of an OMOP CDM 5.4 database, for omop.toml. Written for DuckDB; other
-- engines need few changes. Concept ids are passed through where omop.toml turns them into codes; where the model needs
-- a source code (ICD-10, ICD-9-CM-3) the source concept's code is taken, else the source value.
--
-- Each view becomes a file of the hospital's data folder, for example
--     COPY (SELECT * FROM farr_discharge) TO 'discharge.parquet' (FORMAT parquet);

-- ICD-10 codes of conditions; a main diagnosis is one whose status says so (primary, primary discharge).
CREATE OR REPLACE VIEW farr_condition AS
SELECT
    condition_occurrence.visit_occurrence_id,
    condition_occurrence.condition_occurrence_id AS place,
    CASE
        WHEN source.vocabulary_id LIKE 'ICD10%' THEN source.concept_code
        ELSE condition_occurrence.condition_source_value
    END AS code,
    CASE condition_occurrence.condition_status_concept_id
        WHEN 32903 THEN 1   -- primary discharge diagnosis
        WHEN 32902 THEN 2   -- primary diagnosis
    END AS main_by
FROM condition_occurrence
LEFT JOIN concept AS source ON source.concept_id = condition_occurrence.condition_source_concept_id;

-- A visit's conditions with the main one first: place 1, where one is flagged.
CREATE OR REPLACE VIEW farr_diagnosis AS
SELECT
    visit_occurrence_id,
    place,
    code,
    main_by IS NOT NULL AND 1 = row_number() OVER (
        PARTITION BY visit_occurrence_id ORDER BY coalesce(main_by, 9), place
    ) AS main
FROM farr_condition
WHERE code IS NOT NULL;

-- Operations in the order in which they were recorded: OMOP does not say which one is the main one.
CREATE OR REPLACE VIEW farr_operation AS
SELECT
    procedure_occurrence.visit_occurrence_id,
    procedure_occurrence.procedure_occurrence_id AS place,
    CASE
        WHEN source.vocabulary_id = 'ICD9Proc' THEN source.concept_code
        ELSE procedure_occurrence.procedure_source_value
    END AS code,
    1 = row_number() OVER (
        PARTITION BY procedure_occurrence.visit_occurrence_id
        ORDER BY procedure_occurrence.procedure_date, procedure_occurrence.procedure_occurrence_id
    ) AS main
FROM procedure_occurrence
LEFT JOIN concept AS source ON source.concept_id = procedure_occurrence.procedure_source_concept_id;

-- One ATC substance for each exposure: the first in the alphabet where the drug is in several groups.
CREATE OR REPLACE VIEW farr_drug AS
SELECT
    drug_exposure.drug_exposure_id,
    drug_exposure.person_id,
    drug_exposure.visit_occurrence_id,
    drug_exposure.drug_exposure_start_date,
    drug_exposure.quantity,
    min(atc.concept_code) AS atc
FROM drug_exposure
LEFT JOIN concept_ancestor ON concept_ancestor.descendant_concept_id = drug_exposure.drug_concept_id
LEFT JOIN concept AS atc
    ON atc.concept_id = concept_ancestor.ancestor_concept_id
    AND atc.vocabulary_id = 'ATC'
    AND atc.concept_class_id = 'ATC 5th'
GROUP BY
    drug_exposure.drug_exposure_id,
    drug_exposure.person_id,
    drug_exposure.visit_occurrence_id,
    drug_exposure.drug_exposure_start_date,
    drug_exposure.quantity;

-- Visits with the patient's sex and age in full years. Where day or month of birth is unknown, 1 July.
CREATE OR REPLACE VIEW farr_stay AS
SELECT
    dated.*,
    extract(year FROM dated.visit_start_date) - extract(year FROM dated.born)
        - CASE
            WHEN extract(month FROM dated.visit_start_date) < extract(month FROM dated.born)
                OR (
                    extract(month FROM dated.visit_start_date) = extract(month FROM dated.born)
                    AND extract(day FROM dated.visit_start_date) < extract(day FROM dated.born)
                )
                THEN 1
            ELSE 0
        END AS age
FROM (
    SELECT
        visit_occurrence.*,
        person.gender_concept_id,
        coalesce(
            CAST(person.birth_datetime AS DATE),
            make_date(person.year_of_birth, coalesce(person.month_of_birth, 7), coalesce(person.day_of_birth, 1))
        ) AS born,
        death.death_date
    FROM visit_occurrence
    JOIN person ON person.person_id = visit_occurrence.person_id
    LEFT JOIN death ON death.person_id = visit_occurrence.person_id
) AS dated;

-- What a visit cost, and what its drugs cost.
CREATE OR REPLACE VIEW farr_cost AS
SELECT
    visit_occurrence.visit_occurrence_id,
    whole.total AS cost,
    whole.self AS cost_self,
    drugs.total AS cost_drug
FROM visit_occurrence
LEFT JOIN (
    SELECT cost_event_id, sum(coalesce(total_charge, total_cost)) AS total, sum(paid_by_patient) AS self
    FROM cost WHERE cost_domain_id = 'Visit' GROUP BY cost_event_id
) AS whole ON whole.cost_event_id = visit_occurrence.visit_occurrence_id
LEFT JOIN (
    SELECT drug_exposure.visit_occurrence_id, sum(coalesce(cost.total_charge, cost.total_cost)) AS total
    FROM cost JOIN drug_exposure ON drug_exposure.drug_exposure_id = cost.cost_event_id
    WHERE cost.cost_domain_id = 'Drug' GROUP BY drug_exposure.visit_occurrence_id
) AS drugs ON drugs.visit_occurrence_id = visit_occurrence.visit_occurrence_id;

-- Inpatient visits (9201, and 262 through the emergency room) that have ended.
CREATE OR REPLACE VIEW farr_discharge AS
SELECT
    stay.person_id,
    stay.gender_concept_id,
    stay.age,
    CASE WHEN stay.age = 0 THEN stay.visit_start_date - stay.born END AS age_days,
    stay.visit_start_date,
    stay.visit_end_date,
    stay.visit_end_date - stay.visit_start_date AS los,
    CASE
        WHEN stay.visit_concept_id = 262 THEN 262
        ELSE stay.admitted_from_concept_id
    END AS admitted_from_concept_id,
    CASE
        WHEN stay.death_date BETWEEN stay.visit_start_date AND stay.visit_end_date THEN 4216643
        ELSE stay.discharged_to_concept_id
    END AS discharged_to_concept_id,
    main.code AS dx_main,
    (
        SELECT string_agg(other.code, ';' ORDER BY other.place) FROM farr_diagnosis AS other
        WHERE other.visit_occurrence_id = stay.visit_occurrence_id AND NOT other.main
    ) AS dx_other,
    operation.code AS op_main,
    (
        SELECT string_agg(other.code, ';' ORDER BY other.place) FROM farr_operation AS other
        WHERE other.visit_occurrence_id = stay.visit_occurrence_id AND NOT other.main
    ) AS op_other,
    farr_cost.cost,
    farr_cost.cost_drug,
    farr_cost.cost_self
FROM farr_stay AS stay
LEFT JOIN farr_diagnosis AS main ON main.visit_occurrence_id = stay.visit_occurrence_id AND main.main
LEFT JOIN farr_operation AS operation ON operation.visit_occurrence_id = stay.visit_occurrence_id AND operation.main
LEFT JOIN farr_cost ON farr_cost.visit_occurrence_id = stay.visit_occurrence_id
WHERE stay.visit_concept_id IN (9201, 262) AND stay.visit_end_date IS NOT NULL;

-- Outpatient (9202) and emergency (9203) visits. rx_abx is known where the visit has any drug.
CREATE OR REPLACE VIEW farr_visit AS
SELECT
    stay.person_id,
    coalesce(CAST(stay.visit_start_datetime AS VARCHAR), CAST(stay.visit_start_date AS VARCHAR)) AS dt,
    stay.visit_concept_id,
    stay.gender_concept_id,
    stay.age,
    coalesce(main.code, first_one.code) AS dx_main,
    farr_cost.cost,
    farr_cost.cost_drug,
    (
        SELECT CASE WHEN count(*) > 0 THEN max(CASE WHEN drug.atc LIKE 'J01%' THEN 'Y' ELSE 'N' END) END
        FROM farr_drug AS drug WHERE drug.visit_occurrence_id = stay.visit_occurrence_id
    ) AS rx_abx
FROM farr_stay AS stay
LEFT JOIN farr_diagnosis AS main ON main.visit_occurrence_id = stay.visit_occurrence_id AND main.main
LEFT JOIN (
    SELECT visit_occurrence_id, code,
        row_number() OVER (PARTITION BY visit_occurrence_id ORDER BY place) AS turn
    FROM farr_diagnosis
) AS first_one ON first_one.visit_occurrence_id = stay.visit_occurrence_id AND first_one.turn = 1
LEFT JOIN farr_cost ON farr_cost.visit_occurrence_id = stay.visit_occurrence_id
WHERE stay.visit_concept_id IN (9202, 9203);

-- Measurements with a LOINC concept. A positive or negative answer comes before the place in the reference range.
CREATE OR REPLACE VIEW farr_lab_result AS
SELECT
    measurement.person_id,
    coalesce(CAST(measurement.measurement_datetime AS VARCHAR), CAST(measurement.measurement_date AS VARCHAR)) AS ts,
    stay.visit_concept_id,
    stay.gender_concept_id,
    stay.age,
    item.concept_code AS item,
    measurement.value_as_number,
    coalesce(unit.concept_code, measurement.unit_source_value) AS unit,
    CASE
        WHEN measurement.value_as_concept_id IN (9191, 45884084) THEN 'POS'
        WHEN measurement.value_as_concept_id IN (9189, 45878583) THEN 'NEG'
        WHEN measurement.value_as_number < measurement.range_low THEN 'L'
        WHEN measurement.value_as_number > measurement.range_high THEN 'H'
        WHEN measurement.value_as_number BETWEEN measurement.range_low AND measurement.range_high THEN 'N'
    END AS flag
FROM measurement
JOIN concept AS item ON item.concept_id = measurement.measurement_concept_id AND item.vocabulary_id = 'LOINC'
LEFT JOIN concept AS unit ON unit.concept_id = measurement.unit_concept_id AND unit.vocabulary_id = 'UCUM'
LEFT JOIN farr_stay AS stay ON stay.visit_occurrence_id = measurement.visit_occurrence_id;

-- Lines of charges: drugs and procedures that have a cost.
CREATE OR REPLACE VIEW farr_charge AS
SELECT
    drug.person_id,
    drug.drug_exposure_start_date AS svc_dt,
    'drug' AS cat,
    drug.quantity AS qty,
    coalesce(cost.total_charge, cost.total_cost) AS amount,
    drug.atc
FROM farr_drug AS drug
JOIN cost ON cost.cost_event_id = drug.drug_exposure_id AND cost.cost_domain_id = 'Drug'
UNION ALL
SELECT
    procedure_occurrence.person_id,
    procedure_occurrence.procedure_date,
    'op',
    procedure_occurrence.quantity,
    coalesce(cost.total_charge, cost.total_cost),
    NULL
FROM procedure_occurrence
JOIN cost ON cost.cost_event_id = procedure_occurrence.procedure_occurrence_id AND cost.cost_domain_id = 'Procedure';
