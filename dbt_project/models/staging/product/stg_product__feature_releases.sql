-- Grain: feature.

select
    feature,
    released_on,
    {{ day_number('released_on') }} as released_day
from {{ source('raw', 'feature_releases') }}
