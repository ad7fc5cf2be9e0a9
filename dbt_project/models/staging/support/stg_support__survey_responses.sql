-- Grain: survey response.

select
    response_id,
    account_id,
    {{ same_user('user_id') }} as user_id,
    survey,
    score,
    responded_at,
    {{ day_number('responded_at') }} as responded_day
from {{ source('raw', 'survey_responses') }}
