-- Grain: currency x valid_from. A rate holds until the currency's next one.

select
    upper(currency) as currency,
    valid_from,
    lead(valid_from) over (partition by upper(currency) order by valid_from) as valid_to,
    rate
from {{ ref('fx_rates') }}
