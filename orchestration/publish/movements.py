"""Whose tier is another one than a week before, and why: one query for all that report it."""

from orchestration.publish.tables import DATE_COLUMN

WEEK = 7

# Grain: account that moved in the week up to $as_of, net: the tier before its first change against the tier after its last
# one. An account that is back where it was did not move. Direction: -1 down, 1 up, null to or from unknown. The reason,
# its points and its day are of the last change that went the same way. A change that comes from data that came or went, such as a late
# feed, is not a movement of an account.
MOVEMENTS = f"""
with tiers (tier, severity) as (

    values ('healthy', 0), ('at_risk', 1), ('poor', 2)

),

changes as (

    select
        changes.*,
        cast(sign(tier_before.severity - tier_after.severity) as integer) as direction
    from tier_changes as changes
    left join tiers as tier_before on changes.from_tier = tier_before.tier
    left join tiers as tier_after on changes.to_tier = tier_after.tier
    where changes.{DATE_COLUMN} > $as_of - {WEEK} and changes.{DATE_COLUMN} <= $as_of

),

moved as (

    select
        week.*,
        cast(sign(tier_before.severity - tier_after.severity) as integer) as direction
    from (
        select account_id, arg_min(from_tier, {DATE_COLUMN}) as from_tier, arg_max(to_tier, {DATE_COLUMN}) as to_tier
        from changes
        group by account_id
    ) as week
    left join tiers as tier_before on week.from_tier = tier_before.tier
    left join tiers as tier_after on week.to_tier = tier_after.tier
    where week.from_tier <> week.to_tier

)

select
    moved.account_id,
    moved.from_tier,
    moved.to_tier,
    moved.direction,
    changes.reason,
    case when changes.cause = 'score' then changes.points end as points,
    changes.{DATE_COLUMN} as changed_on
from moved
inner join changes on moved.account_id = changes.account_id
where coalesce(changes.component, '') <> 'availability'
-- Where unknown lies between, no single change need have gone the whole way.
qualify row_number() over (
    partition by moved.account_id
    order by changes.direction is not distinct from moved.direction desc, changes.{DATE_COLUMN} desc
) = 1
"""

# Grain: account x (up, down), of the accounts whose score moved that way in the week up to the newest day: the strongest part of it that
# does not come from data that came or went.
WEEK_REASONS = f"""
select account_id, label, points
from score_changes
where k = {WEEK} and component <> 'availability' and {DATE_COLUMN} = (select max({DATE_COLUMN}) from account_health)
qualify row_number() over (partition by account_id, points > 0 order by abs(points) desc, component, metric_key) = 1
"""
