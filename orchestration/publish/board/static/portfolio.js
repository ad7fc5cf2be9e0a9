"use strict";

/* The portfolio of everyone's accounts, or of one owner's. Each is in one of the scripts data/portfolios-<number>.js. */
(() => {
  const { make, fill, number, signed, share, compact, day, addDays, tier, change, counted, table, accountsLink, accountLink, shared } = board;
  const { words, worstFirst } = shared;
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const last = (list) => list[list.length - 1];
  const isWeak = (key) => shared.atRisk.includes(key);
  const quiet = (text) => make("p", { class: "quiet" }, text);
  const link = (view, ...content) => make("a", { href: accountsLink(view) }, content);
  const money = (value, hasArr) => (hasArr ? compact(value) : board.NOTHING);
  const account = ([id, name]) => accountLink(id, name);

  function showLead({ now, renewals }, healthy, fell, rose) {
    const late = Number(document.getElementById("data").dataset.late);
    const renewing = sum(board.grouped(renewals, (row) => row.month).map(([, rows]) => rows[0].arr_at_risk));
    fill("lead",
      make("strong", {}, `${number(healthy)} of ${counted(now.accounts, "account")} ${healthy === 1 || now.accounts === 1 ? "is" : "are"} healthy.`), " ",
      now.accounts_with_arr ? [`${words.whose}${compact(now.arr_at_risk)} ${shared.currency}, ${share(now.arr ? now.arr_at_risk / now.arr : 0)} of ARR, ${words.is_risk}`,
        renewing ? `, of which ${compact(renewing)} renews within ${shared.renewalDays} days` : "", ". "] : null,
      `In the week to ${day(shared.asOf)}, ${number(fell)} fell and ${number(rose)} rose`,
      late ? ["; ", make("a", { href: "#data" }, `${counted(late, "source")} ${late === 1 ? "is" : "are"} not up to date`)] : null, ".");
  }

  function showFigures({ now, before }, weakAccounts) {
    const hasArr = Boolean(now.accounts_with_arr);
    const figure = (name, value, unit, sub, kind) => make("div", { class: kind }, make("dt", {}, name), make("dd", {}, value, unit ? [" ", make("small", {}, unit)] : null), make("dd", { class: "sub" }, sub));
    const since = (difference, digits, unit, otherwise) => (before ? [change(difference(before), digits, unit), " in 28 days"] : otherwise);
    fill("figures",
      figure("Accounts", number(now.accounts), null, since((then) => now.accounts - then.accounts, 0, "", "scored")),
      figure(make("abbr", { title: "Annual recurring revenue" }, "ARR"), money(now.arr, hasArr), hasArr && shared.currency,
        !hasArr ? "no amounts known" : before && before.arr ? [change(100 * (now.arr - before.arr) / before.arr, 1, "%"), " in 28 days"] : counted(now.accounts_with_arr, "account")),
      figure("Mean score", number(now.mean_score, 1), null, since((then) => now.mean_score - then.mean_score, 1, "", "of 100")),
      figure("Healthy", share(now.healthy_share), null, since((then) => 100 * (now.healthy_share - then.healthy_share), 1, " pts", "of accounts")),
      figure(link({ tier: shared.atRisk.join(","), sort: "risk" }, `ARR ${words.risk}`), money(now.arr_at_risk, hasArr), hasArr && shared.currency, counted(weakAccounts, "account"), "key"),
      figure("Coverage", share(now.coverage), null, "of scorecards measured"));
  }

  /* Rows of a chart that stacks the tiers: a figure for each tier, the worst first. */
  function stacked(values, view, fields) {
    return worstFirst.flatMap((key, stack) => (values[stack] ? [{ ...fields, tier: key, stack, value: values[stack], href: accountsLink({ ...view, tier: key }) }] : []));
  }

  function showTiers({ days, now }) {
    const hasArr = Boolean(now.accounts_with_arr);
    const place = document.getElementById("tiers-chart");
    const rows = (measure) => days.days.flatMap((offset, i) => {
      const at = addDays(shared.firstDay, offset);
      return stacked(days[measure][i], { on: at === shared.asOf ? "" : at }, { day: at });
    });
    const buttons = [...document.querySelectorAll("[data-measure]")];
    const show = (measure) => {
      for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.measure === measure));
      board.draw(place, measure === "arr" ? "tiersByArr" : "tiersByAccounts", { rows: rows(measure) }, place.dataset.name);
    };
    for (const button of buttons) {
      button.disabled = button.dataset.measure === "arr" && !hasArr;
      button.onclick = () => show(button.dataset.measure);
    }
    show("accounts");
    const [accounts, arr] = [last(days.accounts), last(days.arr)];
    const heads = [["Tier"], ["Accounts", "num"], ["Share", "num quiet phone-off"], ["ARR", "num"], ["Share", "num quiet phone-off"]];
    fill("tiers", table(heads, shared.tiers.map(([key]) => worstFirst.indexOf(key)).map((i) => [
      make("a", { href: accountsLink({ tier: worstFirst[i] }), class: "tier-link" }, tier(worstFirst[i])),
      number(accounts[i]), share(accounts[i] / now.accounts), money(arr[i], hasArr), hasArr && now.arr ? share(arr[i] / now.arr) : board.NOTHING,
    ]), `Tiers on ${day(shared.asOf)}`));
    const unknown = now.accounts - now.accounts_with_arr;
    fill("unknown-arr", hasArr && unknown ? `ARR of ${counted(unknown, "account")} is not known.` : null);
  }

  function showMovements(id, rows, otherwise) {
    const count = rows.length ? rows[0].count : 0;
    fill(`${id}-count`, number(count));
    fill(`${id}-all`, count ? link({ move: id }, `All ${number(count)}`) : null);
    fill(`${id}-list`, count ? make("ul", { class: "moves" }, rows.map((row) => make("li", {},
      make("div", { class: "move-main" }, account(row.account),
        make("span", { class: "why" }, make("bdi", {}, row.why), row.points === null ? null : [" ", make("span", { class: "num" }, signed(row.points))]), board.capBadge(row.cap)),
      make("div", { class: "move-side" },
        make("span", { class: "from-to" }, tier(row.from_tier), make("span", { class: "arrow", "aria-label": "to" }, "→"), tier(row.to_tier)),
        make("span", { class: "quiet num" }, row.arr === null ? null : `${compact(row.arr)} ${shared.currency} · `, day(row.changed_on)))))) : quiet(otherwise));
  }

  function showUnclear(rows) {
    fill("unclear", rows.length ? [`${counted(rows[0].count, "account")} went to or from `, make("em", {}, "unknown"), " in that week: ",
      rows.map((row, i) => [i ? ", " : null, account(row.account)]), rows[0].count > rows.length ? ` and ${number(rows[0].count - rows.length)} more` : null, "."] : null);
  }

  function showActions({ playbooks, actions, now }) {
    document.getElementById("actions").hidden = !playbooks.length;
    document.getElementById("no-actions").hidden = Boolean(playbooks.length);
    const arr = now.accounts_with_arr ? [["ARR", "num"]] : [];
    fill("playbooks", table([["Playbook"], ["Accounts", "num"], ["New", "num quiet"], ["Past due", "num quiet"], ...arr], playbooks.map((row) => [
      link({ action: row.label }, make("bdi", {}, row.label)), number(row.accounts), row.new ? number(row.new) : "", row.overdue ? number(row.overdue) : "", ...arr.map(() => compact(row.arr)),
    ]), "By playbook"));
    fill("todo", actions.map((row) => make("li", {}, make("div", {}, make("strong", {}, row.label), " · ", account(row.account), " ", tier(row.account[2]), board.capBadge(row.cap)),
      make("p", {}, make("bdi", {}, row.reason)), make("p", { class: "quiet small" }, `Since ${day(row.since)}${row.due_on ? `, due ${day(row.due_on)}` : ""} · `, make("bdi", {}, row.owner)))));
  }

  function showRenewals({ weeks, renewals, now }) {
    const hasArr = Boolean(now.accounts_with_arr);
    document.getElementById("renewing").hidden = !renewals.length;
    document.getElementById("no-renewals").hidden = Boolean(renewals.length);
    fill("renewals-all", renewals.length ? link({ renewal: shared.renewalDays, sort: "renewal" }, "All") : null);
    const place = document.getElementById("renewals-chart");
    document.getElementById("renewals-picture").hidden = !hasArr;
    if (hasArr && renewals.length) {
      const rows = weeks.map((row) => ({ ...row, stack: worstFirst.indexOf(row.tier), href: accountsLink({ tier: row.tier, renewal: `${row.start}..${addDays(row.start, 6)}`, sort: "renewal" }) }));
      board.draw(place, "renewals", { rows }, place.dataset.name);
    }
    const heads = [["Account"], ["Tier"], ["Score", "num"], ["Ends", "num phone-off"], ["ARR", "num"]];
    fill("renewals", table(heads, board.grouped(renewals, (row) => row.month).flatMap(([month, rows]) => [
      board.groupRow(heads, link({ renewal: month, sort: "renewal" }, board.month(month)), ` ${counted(rows[0].count, "account")}`,
        hasArr ? ` · ${compact(rows[0].sum_arr)} ${shared.currency}, ${compact(rows[0].arr_at_risk)} of it ${words.risk}` : null),
      ...rows.map((row) => [account(row.account), [tier(row.account[2]), board.capBadge(row.cap)], board.score(row.health_score, row.uncapped_score), day(row.term_ends_on), money(row.arr, hasArr)]),
      ...(rows[0].count > rows.length ? [[link({ renewal: month, sort: "renewal" }, `${number(rows[0].count - rows.length)} more`), "", "", "", ""]] : []),
    ])));
  }

  function showReceivables({ receivables }) {
    document.getElementById("receivables-card").hidden = !receivables.length;
    if (!receivables.length) return;
    const [all] = receivables;
    fill("receivables-sum", `${counted(all.count, "invoice")} ${all.count === 1 ? "is" : "are"} overdue, ${compact(all.sum_owed)} ${shared.currency}`,
      all.count_left ? `; ${number(all.count_left)} of them, ${compact(all.sum_left)}, of customers who left` : null,
      all.count_written_off ? `; ${number(all.count_written_off)}, ${compact(all.sum_written_off)}, were written off` : null,
      `. ${all.count > receivables.length ? "The largest; all" : "All"} are in exports/account_health.xlsx.`);
    const heads = [["Account"], ["Invoice", "phone-off"], ["Days overdue", "num"], [`Owed (${shared.currency})`, "num"]];
    fill("receivables", table(heads, receivables.map((row) => [
      row.is_scored ? account(row.account) : [make("bdi", {}, row.account[1]), make("span", { class: "quiet" }, " left")],
      [make("bdi", {}, row.invoice), row.is_written_off ? make("span", { class: "quiet" }, " written off") : null], number(row.days_overdue), number(row.owed)])));
  }

  function showSegments({ segments, now }) {
    const hasArr = Boolean(now.accounts_with_arr);
    const name = (row) => row.name ?? "No segment";
    const place = document.getElementById("segments-chart");
    const rows = segments.flatMap((row) => stacked(row.by_tier, { segment: name(row) }, { segment: name(row) }).map((mark) => ({ ...mark, share: mark.value / row.accounts })));
    board.draw(place, "segments", { rows }, place.dataset.name, segments.length);
    const amounts = hasArr ? [["ARR", "num phone-off"], [board.capital(words.risk), "num"]] : [];
    fill("segments", table([["Segment"], ["Accounts", "num"], ["Mean score", "num"], ["28 days", "num phone-off"], ...amounts], segments.map((row) => [
      link({ segment: name(row) }, make("bdi", {}, name(row))), number(row.accounts), number(row.mean_score, 1), change(row.change),
      ...(hasArr ? [compact(row.arr), compact(row.arr_at_risk)] : []),
    ])));
  }

  /* Stage x dimension; the weakest dimension of each stage is named, with what is to be done most often where it is weak. */
  function showJourney({ journey }) {
    const dimensions = [...new Set(journey.map((row) => row.dimension))];
    const heads = [["Stage"], ["Weakest"], ...dimensions.map((key) => [board.capital(key), "num"]), [`Most often to do there, ${words.risk}`, "phone-off"]];
    fill("journey", table(heads, board.grouped(journey, (row) => row.stage ?? "No stage").map(([stage, rows]) => {
      const weakest = rows.reduce((least, row) => (row.score < least.score ? row : least));
      const cell = (row) => row && [make("span", { class: row === weakest ? "weakest" : null }, number(row.score, 1)),
        make("span", { class: "below quiet" }, board.scoreBar(row.score, 100), number(row.accounts)),
        row.weakest ? make("span", { class: "below" }, link({ stage, weakest: row.dimension }, `lowest of ${number(row.weakest)}`)) : null];
      const { playbook } = weakest;
      return [link({ stage }, board.capital(stage)), link({ stage, weakest: weakest.dimension }, board.capital(weakest.dimension)),
        ...dimensions.map((key) => cell(rows.find((row) => row.dimension === key)) ?? board.NOTHING),
        playbook === null ? make("span", { class: "quiet" }, "No playbook asks for anything") : [link({ stage, weakest: weakest.dimension, tier: shared.atRisk.join(","), action: playbook }, make("bdi", {}, playbook)), ` ${counted(weakest.playbook_accounts, "account")}`]];
    })));
  }

  function showOwners({ owners }) {
    document.getElementById("owners-card").hidden = !owners;
    if (!owners) return;
    const heads = [["Owner"], ["Accounts", "num"], ["Mean score", "num"], ["28 days", "num phone-off"], ["ARR", "num phone-off"], [board.capital(words.risk), "num"], ["Open actions", "num"]];
    fill("owners", table(heads, owners.map((row) => [
      make("a", { href: `index.html#${new URLSearchParams({ owner: row.owner })}` }, make("bdi", {}, row.owner)),
      number(row.accounts), number(row.mean_score, 1), change(row.change), compact(row.arr), compact(row.arr_at_risk), number(row.actions),
    ])));
  }

  function show(name, page) {
    document.getElementById("portfolio").hidden = !page;
    const missing = fill("missing", page ? null : [make("h2", {}, "No accounts"), make("p", {}, "No account of ", make("bdi", {}, name), ` was scored on ${day(shared.asOf)}.`)]);
    missing.hidden = Boolean(page);
    if (!page) return;
    const [fell, rose, unclear] = [-1, 1, 0].map((direction) => page.movements.filter((row) => row.direction === direction));
    const count = (rows) => (rows.length ? rows[0].count : 0);
    const byTier = last(page.days.accounts);
    showLead(page, byTier[worstFirst.indexOf("healthy")], count(fell), count(rose));
    showFigures(page, sum(byTier.filter((_, i) => isWeak(worstFirst[i]))));
    showTiers(page);
    showMovements("fell", fell, "No account fell to a worse tier.");
    showMovements("rose", rose, "No account rose to a better tier.");
    showUnclear(unclear);
    showActions(page);
    showRenewals(page);
    showReceivables(page);
    showSegments(page);
    showJourney(page);
    showOwners(page);
  }

  if (shared.asOf) {
    board.followOwner((name) => board.find("portfolios", name, (page) => show(name, page), () => show(name, null)));
  } else board.readOwner();
})();
