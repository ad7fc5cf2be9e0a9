-- Grain: survey response. Rows of unknown accounts (orphans) are left out; data_freshness counts them.

select
    survey_responses.response_id,
    survey_responses.account_id,
    {{ same_user('survey_responses.user_id') }} as user_id,
    survey_responses.survey,
    survey_responses.score,
    survey_responses.responded_at,
    {{ day_number('survey_responses.responded_at') }} as responded_day
from {{ source('raw', 'survey_responses') }} as survey_responses
inner join {{ ref('stg_crm__accounts') }} as accounts on survey_responses.account_id = accounts.account_id
