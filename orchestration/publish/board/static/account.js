"use strict";

/* An account's page: account.html#<account id>. The account is in one of the scripts data/accounts-<number>.js. */
(() => {
  const { make, fill, number, signed, share, counted, capital, day, addDays, daysBetween, measure, tier, tierLabel, change, table, row, groupRow, accountLink, shared } = board;
  const STATES = {
    measured: "Measured", not_applicable: "Does not apply", stale: "Only older values", missing: "No data", late: "Late: the feed has stopped",
  };
  const TRENDS = { improving: "↑ Improving", declining: "↓ Declining", stable: "Stable", new: "New" };
  const NEUTRAL = 50;
  const SHOWN_CHANGES = 9;
  const LEAST = 0.005;
  const SPARKLINE = 13;  // a week each; one character stands for all of them
  const NOUNS = { t: "ticket", i: "invoice", c: "contact", r: "rating", s: "answer", a: "act of advocacy" };

  const ROLES = { champion: "Champion", decision_maker: "Decision maker", billing: "Billing", user: "User", other: "Other" };

  const metricKeys = Object.keys(shared.metrics);

  /* An account as it is delivered: see orchestration/publish/board/accounts.py. A metric is a place in the catalogue, a cap a text. */
  function readMetric(account, [place_, value, state_, score, weight, points, place, peers, before, sparkline]) {
    const key = metricKeys[place_] ?? place_;
    const state = state_ ?? "measured";
    const [label, rule, tested] = (shared.rules[account.scorecard] || {})[key] || [];
    const isCap = key.startsWith("cap:");
    // A cap's value is that of the metric that it tests: at most 39 where days_late_180d >= 20.
    const known = shared.metrics[tested || key] || {};
    return {
      key, value, state, score, weight, points, place, peers, before, sparkline,
      behind: account.facts.filter((fact) => fact.at(-1).includes && fact.at(-1).includes(place_)),
      label: (isCap ? label : known.label) || label || key, unit: known.unit, dimension: known.dimension, isCap,
      rule,
    };
  }

  const ago = (days) => addDays(shared.asOf, -days);
  const money = (value) => `${number(value)} ${shared.currency}`;
  const SURVEYS = { csat: "Satisfaction survey", nps: "Recommendation survey (NPS)", ces: "Effort survey", product_rating: "Product rating" };

  /* How each kind of fact is read: the events that it is on the timeline, as [days ago, text, note, mark in the chart]; without a mark it is
     not of note by itself. */
  const EVENTS = {
    t: ([began, id, escalated, ended, label]) => {
      const end = ended === null ? "open" : `resolved on ${day(ago(ended))}`;
      return [
        [began, `Ticket ${id}: ${label}, ${end}`, null, label.startsWith("critical") ? "Critical ticket" : null],
        ...(escalated === null ? [] : [[escalated, `Ticket ${id} escalated: ${label}, ${end}`, null, "Escalation"]]),
      ];
    },
    i: ([began, id, due, paid, amount]) => {
      const late = due - Math.max(paid ?? 0, 0);
      const state = paid !== null ? (late > 0 ? `paid ${counted(late, "day")} late` : "paid in time") : due > 0 ? `overdue for ${counted(due, "day")}` : `due on ${day(ago(due))}`;
      return [[due > 0 ? due : began, `Invoice ${id} of ${money(amount)}, due on ${day(ago(due))}: ${state}`, null, due > 0 && late > 0 ? "Late invoice" : null]];
    },
    c: ([began, label, minutes]) => [[began, `${capital(label)}${minutes ? `, ${counted(Math.round(minutes), "minute")}` : ""}`, null, /call|meeting/.test(label) ? "Call or meeting" : null]],
    r: ([began, rating, author, note]) => [[began, `Rated ${number(rating)} of 5${author ? ` by ${author}` : ""}`, note, note || rating <= 2 ? "Rating" : null]],
    s: ([began, label, score]) => [[began, `${SURVEYS[label] || label}: ${number(score, Number.isInteger(score) ? 0 : 1)}`, null, label === "nps" && score <= 6 ? "Detractor" : null]],
    a: ([began, label]) => [[began, capital(label), null, "Advocacy"]],
    o: ([began, ended, key, author, reason]) => [
      [began, `Tier set to ${tierLabel(key)}${author ? ` by ${author}` : ""}`, reason, "Tier set by a person"],
      ...(ended >= 0 ? [[ended, `Tier no longer set to ${tierLabel(key)}`, null, "Tier set by a person"]] : []),
    ],
    x: ([began, kind]) => [[began, capital(kind), null, "Contract"]],
  };
  const eventsOf = ([kind, ...fact]) => EVENTS[kind](fact);

  function sparkline(text) {
    if (!text || /^-*$/.test(text)) return "";
    const steps = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno";
    const scores = [...text.padEnd(SPARKLINE, text)].map((character) => (character === "-" ? null : 2 * steps.indexOf(character)));
    const known = scores.filter((score) => score !== null);
    let path = "";
    scores.forEach((score, i) => {
      if (score !== null) path += `${i && scores[i - 1] !== null ? "L" : "M"}${2 + 6 * i} ${(18 - score * 0.16).toFixed(1)}`;
    });
    return board.draft("svg", { class: "spark", viewBox: "0 0 76 20", role: "img", "aria-label": `Score from ${known[0]} to ${known.at(-1)} in ${scores.length - 1} weeks` },
      board.draft("path", { d: path }), board.draft("circle", { cx: 2 + 6 * scores.findLastIndex((score) => score !== null), cy: 18 - known.at(-1) * 0.16, r: 2 }));
  }

  function factList(facts) {
    return make("ul", { class: "facts-list" }, facts.map((fact) => {
      const [[days, text, note]] = eventsOf(fact);
      return make("li", {}, make("span", { class: "quiet nowrap" }, day(ago(days))), " ", make("bdi", {}, text), note ? [": “", make("bdi", {}, note), "”"] : null);
    }));
  }

  /* What happened, newest first: of the facts, of the tier and of the rules. */
  function timeline(account, history) {
    const events = account.facts.flatMap(eventsOf).filter(([days]) => days >= 0);
    history.rows.forEach((each, i) => {
      if (i && each.tier !== history.rows[i - 1].tier) events.push([daysBetween(each.day, shared.asOf), `Tier ${tierLabel(history.rows[i - 1].tier)} → ${tierLabel(each.tier)}`, null, "Tier"]);
    });
    for (const mark of history.marks) events.push([daysBetween(mark.day, shared.asOf), mark.text, null, "Rules"]);
    return events.sort((a, b) => a[0] - b[0]);
  }

  function showTimeline(account, events, all) {
    const SHOWN = 12;
    const notable = events.filter(([, , , mark]) => mark);
    const shown = all ? events : notable.slice(0, SHOWN);
    const ahead = account.termEndsOn ? [make("tr", {}, make("th", { scope: "row", class: "nowrap" }, day(account.termEndsOn)), make("td", { class: "quiet" }, "Contract"), make("td", {}, "Term ends"))] : [];
    fill("timeline", events.length || ahead.length
      ? make("div", { class: "table-box" }, make("table", { class: "plain" }, table([["Day"], [""], ["What"]], [...ahead, ...shown.map(([days, text, note, mark]) =>
          make("tr", {}, make("th", { scope: "row", class: "nowrap" }, day(ago(days))), make("td", { class: "quiet" }, mark ?? ""), make("td", {}, make("bdi", {}, text), note ? [": “", make("bdi", {}, note), "”"] : null)))])))
      : make("p", { class: "quiet" }, "Nothing is recorded."));
    const more = document.getElementById("timeline-all");
    more.hidden = events.length <= shown.length && !all;
    more.textContent = all ? "Show less" : `Show all ${number(events.length)}`;
    more.onclick = () => showTimeline(account, events, !all);
  }

  function showContact(account) {
    const [contact, note] = [account.facts.find(([kind, , label]) => kind === "c" && label !== "outbound campaign"), account.facts.find((fact) => fact[0] === "r" && fact[4])];
    fill("contact", [["Last contact", contact], ["Last note", note]].flatMap(([title, fact]) => [make("h3", {}, title), fact ? factList([fact]) : make("p", { class: "quiet" }, "None is recorded.")]));
  }

  function showHead(account) {
    document.title = `${account.name} · Customer health`;
    fill("name", account.name);
    const left = account.termEndsOn && daysBetween(shared.asOf, account.termEndsOn);
    const facts = [
      account.segment, account.industry, account.region, account.stage && `${capital(account.stage)} stage`,
      account.owner === shared.noOwner ? account.owner : `Owner ${account.owner}`,
      account.arr === null ? null : `${number(account.arr)} ${shared.currency} ARR`,
      account.seats && counted(account.seats, "seat"),
      account.termEndsOn && `Term ends ${day(account.termEndsOn)}${left >= 0 && !board.isStale() ? `, in ${counted(left, "day")}` : ""}`,
    ];
    fill("facts", facts.filter(Boolean).map((fact) => make("span", {}, make("bdi", {}, fact))));
    fill("score", number(account.score, 1));
    fill("today", board.soFar(account.id, account.score));
    fill("cap", account.cap === null ? null : [board.scoreBar(account.score, account.uncapped), `${number(account.uncapped, 1)} without the cap`, board.capBadge(account.cap)]);
    fill("tier", tier(account.tier));
    const [, delta] = account.delta;
    fill("trend", make("span", { class: "trend" }, TRENDS[account.trend] || account.trend, delta === null ? null : " ", delta === null ? null : change(delta), delta === null ? null : " in 28 days"));
    const notes = [`${tierLabel(account.tier)} since ${day(account.tierSince)} (${counted(account.daysInTier, "day")})`];
    if (account.previousTier) notes.push(`before that ${tierLabel(account.previousTier)}`);
    if (account.rawTier !== account.modelTier) notes.push(`this day's score alone says ${tierLabel(account.rawTier)}`);
    fill("since", notes.join("; "));
    const override = document.getElementById("override");
    override.hidden = account.override === null;
    if (account.override) {
      const [reason, author, expires] = account.override;
      fill("override", make("strong", {}, "Tier set by a person. "), `${tierLabel(account.tier)}`, author ? [" by ", make("bdi", {}, author)] : [], ` until ${day(expires)}`,
        reason ? [": “", make("bdi", {}, reason), "”"] : [], `. The model says ${tierLabel(account.modelTier)}.`);
    }
  }

  function drivers(metrics) {
    return make("dl", { class: "drivers" }, metrics.map((metric) => [
      make("dt", {}, metric.label, make("span", { class: "quiet" }, metric.state === "measured" || metric.isCap ? measure(metric.value, metric.unit) : STATES[metric.state])),
      make("dd", { class: "num" }, signed(metric.points)),
    ]));
  }

  function showWhy(account, metrics) {
    const up = metrics.filter((metric) => metric.points >= LEAST).slice(0, 3);
    const down = metrics.filter((metric) => metric.points <= -LEAST).slice(0, 3);
    const none = (text) => make("p", { class: "quiet" }, text);
    fill("why", make("h3", {}, "Holds it down"), down.length ? drivers(down) : none("Nothing takes points away."),
      account.cap === null ? null : make("p", { class: "small" }, `Without the cap the score would be ${number(account.uncapped, 1)}.`),
      make("h3", {}, "Holds it up"), up.length ? drivers(up) : none("Nothing adds points."));
  }

  function showActions(account) {
    fill("actions", account.actions.length
      ? make("ol", { class: "todo" }, account.actions.map(([label, reason, since, due, state, until, owner]) =>
          make("li", { class: state === "open" ? null : "quiet" }, make("strong", {}, label),
            state === "open" ? null : ` ${state}${until ? ` until ${day(until)}` : ""}`, make("p", {}, make("bdi", {}, reason)),
            make("p", { class: "quiet small" }, `Since ${day(since)}${due && state === "open" ? `, due ${day(due)}` : ""}`, owner ? [" · ", make("bdi", {}, owner)] : null))))
      : make("p", { class: "quiet" }, "No playbook asks for anything."));
  }

  function showSure(account, metrics) {
    const counted = metrics.filter((metric) => !metric.isCap);
    const states = Object.keys(STATES).map((state) => [state, counted.filter((metric) => metric.state === state)]).filter(([, found]) => found.length);
    fill("sure",
      make("p", { class: "big" }, share(account.coverage)),
      make("p", { class: "quiet small" }, "of the scorecard's weight is measured"),
      make("progress", { class: "meter", max: 1, value: account.coverage, "aria-label": "Coverage" }),
      make("ul", { class: "states" }, states.map(([state, found]) => make("li", {}, make("strong", {}, number(found.length)), ` ${STATES[state].toLowerCase()}`,
        state === "measured" ? null : make("span", { class: "quiet" }, `: ${found.slice(0, 4).map((metric) => metric.label).join(", ")}${found.length > 4 ? ", …" : ""}`)))),
      account.rawTier === "unknown" ? make("p", { class: "small" }, "Too little is measured for a tier.") : null);
  }

  function showChanges(account, metrics, days) {
    for (const button of document.querySelectorAll("[data-days]")) button.setAttribute("aria-pressed", String(Number(button.dataset.days) === days));
    const delta = account.delta[days === 7 ? 0 : 1];
    const from = addDays(shared.asOf, -days);
    if (delta === null) {
      fill("changes", make("p", { class: "quiet" }, `There is no score of ${day(from)} to compare with.`));
      return;
    }
    const rows = account.changes.filter(([k]) => k === days).map(([, component, key, points, label]) => ({
      label: label || (shared.metrics[metricKeys[key]] || {}).label || component, points, component, key: metricKeys[key],
    }));
    const summary = make("p", {}, "From ", make("strong", {}, number(account.score - delta, 1)), ` on ${day(from)} to `, make("strong", {}, number(account.score, 1)), `: `, change(delta), ".");
    if (!rows.length) {
      fill("changes", summary, make("p", { class: "quiet" }, "Nothing that counts has moved."));
      return;
    }
    const shown = rows.slice(0, rows.length > SHOWN_CHANGES ? SHOWN_CHANGES - 1 : SHOWN_CHANGES);
    const rest = rows.slice(shown.length);
    if (rest.length) shown.push({ label: `${rest.length} smaller changes`, points: rest.reduce((sum, each) => sum + each.points, 0) });
    let at = account.score - delta;
    const bars = [{ label: day(from), from: at, to: at, end: at, kind: "score", text: number(at, 1) }];
    for (const each of shown) {
      const to = at + each.points;
      bars.push({ label: each.label, from: at, to, end: Math.max(at, to), kind: each.points < 0 ? "fall" : "rise", text: signed(each.points, 1) });
      at = to;
    }
    bars.push({ label: day(shared.asOf), from: account.score, to: account.score, end: account.score, kind: "score", text: number(account.score, 1) });
    const chart = make("div", { class: "chart" });
    // Only the values of today and of 28 days ago are at hand.
    const heads = days === 28 ? [["What"], ["Then", "num phone-off"], ["Now", "num phone-off"], ["Points", "num"]] : [["What"], ["Points", "num"]];
    const values = (each) => {
      const metric = metrics.find(({ key }) => key === each.key);
      return days !== 28 ? [] : metric ? [measure(metric.before, metric.unit), measure(metric.value, metric.unit)] : ["", ""];
    };
    const words = make("table", { class: "plain", "aria-label": `Changes in ${days} days` }, table(heads, rows.map((each) => [each.label, ...values(each), change(each.points, 2)])));
    fill("changes", summary, make("div", { class: "split even" }, chart, make("div", { class: "table-box" }, words)));
    board.draw(chart, "changes", { rows: bars }, `What moved the score in ${days} days, as a waterfall; the table beside it has the figures`, bars.length);
  }

  /* Two characters a day: a whole number in base 36, "--" for none. Scores are in tenths. */
  const readNumbers = (text) => text.match(/../g).map((code) => (code === "--" ? null : parseInt(code, 36)));
  const readScores = (text) => readNumbers(text).map((tenths) => (tenths === null ? null : tenths / 10));

  function showHistory(account) {
    const scores = readScores(account.scores);
    const uncapped = account.uncappedScores ? readScores(account.uncappedScores) : [];
    const given = readNumbers(account.dayOffsets);
    const offsets = given.length === scores.length ? given : scores.map((_, i) => given[0] + i);
    const rules = account.rules.map(([offset, ...names_]) => [parseInt(offset, 36), ...names_]);
    const names = offsets.map((offset) => addDays(shared.firstDay, offset));
    const keys = [...account.tiers].map((code) => shared.tiers[Number(code)][0]);
    let run = 0;
    const rows = scores.map((score, i) => {
      if (i && offsets[i] !== offsets[i - 1] + 1) run += 1;
      return { day: names[i], score, uncapped: uncapped[i] ?? null, tier: keys[i], run };
    });
    const strip = [];
    rows.forEach((each, i) => {
      const last = strip[strip.length - 1];
      if (last && last.tier === each.tier && last.end === each.day) last.end = addDays(each.day, 1);
      else strip.push({ start: each.day, end: addDays(each.day, 1), tier: each.tier });
    });
    const bands = [];
    const marks = [];
    let byRank = false;
    rules.forEach(([offset, version, scorecard], i) => {
      const start = addDays(shared.firstDay, offset);
      const next = rules[i + 1];
      const end = next ? addDays(shared.firstDay, next[0]) : addDays(shared.asOf, 1);
      const limits = shared.tierLimits.filter((limit) => limit[0] === version && limit[1] === scorecard);
      let top = 100;
      for (const [, , mode, key, least] of limits) {
        if (mode !== "threshold") { byRank = true; continue; }
        bands.push({ start, end, from: least, to: top, tier: key });
        top = least;
      }
      if (i === 0) return;
      const [, versionBefore, scorecardBefore] = rules[i - 1];
      marks.push({ day: start, text: version !== versionBefore ? `Rules ${version}` : scorecard !== scorecardBefore ? `Scorecard ${shared.scorecards[scorecard] || scorecard}` : "Rules edited" });
    });
    const events = timeline(account, { rows, marks });
    showTimeline(account, events, false);
    const pictured = events.filter(([days, , , mark]) => mark && !["Tier", "Rules"].includes(mark) && addDays(shared.asOf, -days) >= names[0]);
    board.draw(document.getElementById("history-chart"), "history", { rows, strip, bands, marks, events: pictured.map(([days, text, , kind]) => ({ day: ago(days), text, kind })) },
      `Score of ${account.name} from ${day(names[0])} to ${day(names[names.length - 1])}, over the tier bands`);
    const lowest = Math.min(...scores);
    const highest = Math.max(...scores);
    const [week, , quarter] = account.delta;
    fill("history-note", week === null ? null : ["In 7 days ", change(week), ". "], quarter === null ? null : ["In 90 days ", change(quarter), ". "],
      account.slope === null ? null : ["Slope of the last 28 days ", change(account.slope), " points a week. "],
      `${day(names[0])} to ${day(names[names.length - 1])}: lowest ${number(lowest, 1)}, highest ${number(highest, 1)}. `,
      uncapped.length ? "Dashed: the score without the cap. " : null,
      byRank ? "Tiers go by the place among the accounts on the scorecard, so there are no bands. " : "Bands: where each tier begins. ",
      "Strip below: the tier in force, which follows once the score has held for some days. ",
      marks.length ? `Lines: ${marks.map((mark) => `${mark.text} from ${day(mark.day)}`).join("; ")}.` : "");
  }

  function showDimensions(account) {
    const rows = account.dimensions.map(([key, score, weight, points, coverage]) => ({ key, label: capital(key), score, weight, points, coverage }));
    board.draw(document.getElementById("dimensions-chart"), "dimensions",
      { rows: rows.map((each) => ({ dimension: each.label, score: each.score, place: each.score ?? 0, text: each.score === null ? "nothing measured" : number(each.score, 1) })) },
      "Score of each dimension; the table beside it has the figures", rows.length);
    const heads = [["Dimension"], ["Score", "num"], ["Weight", "num phone-off"], ["Points", "num"], ["Coverage", "num"]];
    fill("dimensions", table(heads, rows.map((each) => [each.label, number(each.score, 1), share(each.weight), change(each.points), share(each.coverage)])));
  }

  /* By role, and below it by name where the mart has names. */
  function showPeople(account) {
    document.getElementById("people").hidden = !shared.hasContacts;
    if (!account.people.length) {
      fill("contacts", make("p", { class: "quiet" }, "No contact is recorded."));
      return;
    }
    const heads = [["Role"], ["People", "num"], ["Last contact"], ["Left in 90 days", "num phone-off"]];
    const when = (days) => (days === null ? make("span", { class: "quiet" }, "None is recorded") : [make("span", { class: "nowrap" }, day(ago(days))), " ", days ? make("span", { class: "quiet nowrap" }, `${counted(days, "day")} ago`) : null]);
    const person = ([name, address, joined, left, last]) => make("tr", { class: `person${left === null ? "" : " quiet"}` },
      make("th", { scope: "row", colspan: 2 }, make("bdi", {}, name), " ",
        make("span", { class: "quiet" }, address === null ? null : [make("bdi", {}, address), ", "], left === null ? `since ${day(ago(joined))}` : `left on ${day(ago(left))}`)),
      make("td", {}, when(last)), make("td", { class: "phone-off" }));
    const order = Object.keys(ROLES);
    const roles = [...account.people].sort((a, b) => order.indexOf(a[0]) - order.indexOf(b[0]));
    fill("contacts", make("div", { class: "table-box" }, make("table", { class: "plain" }, table(heads, roles.flatMap(([role, people, last, left, names]) => [
      row(heads, [ROLES[role] || capital(role), number(people), people ? when(last) : "", left ? number(left) : ""]),
      ...names.map(person),
    ])))));
  }

  function stateText(metric) {
    const text = STATES[metric.state] || metric.state;
    if (metric.state === "measured" || !metric.weight || metric.score === null) return text;
    return `${text}; counts as ${metric.score === NEUTRAL ? "neutral" : "worst"}`;
  }

  function showMetrics(account, metrics) {
    const heads = [["Metric"], ["Value", "num"], ["28 days ago", "num wide"], ["State", "phone-off"], ["12 weeks", "phone-off"], ["Score", "num phone-off"], ["Weight", "num wide"], ["Points", "num"], ["Ahead of", "num wide"]];
    const group = (title) => groupRow(heads, title);
    const line = (metric) => row(heads, [
      [metric.label, make("span", { class: "quiet" }, metric.rule), metric.behind.length ? make("details", {}, make("summary", {}, counted(metric.behind.length, NOUNS[metric.behind[0][0]])), factList(metric.behind)) : null],
      metric.state === "measured" ? measure(metric.value, metric.unit) : make("span", { class: "phone-only" }, stateText(metric)), measure(metric.before, metric.unit), stateText(metric), sparkline(metric.sparkline), number(metric.score, 1), share(metric.weight, 1), change(metric.points, 2),
      metric.place === null ? board.NOTHING : [`${number(metric.place)}%`, make("span", { class: "quiet" }, ` of ${number(metric.peers)}`)],
    ], { class: metric.points === 0 && metric.state !== "measured" ? "no-score" : null });
    const rows = [];
    for (const [key] of account.dimensions) {
      const found = metrics.filter((metric) => metric.dimension === key && !metric.isCap);
      if (found.length) rows.push(group(capital(key)), ...found.map(line));
    }
    const other = metrics.filter((metric) => !metric.isCap && !account.dimensions.some(([key]) => key === metric.dimension));
    if (other.length) rows.push(group("Other"), ...other.map(line));
    const caps = metrics.filter((metric) => metric.isCap);
    if (caps.length) {
      rows.push(group("Caps"));
      for (const cap of caps) {
        rows.push([[cap.label, make("span", { class: "quiet" }, cap.rule)], measure(cap.value, cap.unit), "", "Holds", "", "", "", change(cap.points, 2), ""]);
      }
    }
    fill("metrics", table(heads, rows));
  }

  function showFamily(account) {
    document.getElementById("family").hidden = !account.parent && !account.children.length;
    const parts = [];
    if (account.parent) {
      const [id, name, key, score] = account.parent;
      parts.push(make("p", {}, "Part of ", key ? accountLink(id, name) : make("bdi", {}, name), key ? [" ", tier(key), ` ${number(score, 1)}`] : ", which is not scored", "."));
    }
    if (account.children.length) {
      const [count, mean] = account.group;
      const heads = [["Account"], ["Tier"], ["Score", "num"], ["ARR", "num"]];
      parts.push(make("p", {}, `${counted(count, "account")} belong${count === 1 ? "s" : ""} to it`, mean === null ? "" : `, with a mean score of ${number(mean, 1)} by ARR`, count > account.children.length ? `; the ${account.children.length} weakest:` : ":"),
        make("div", { class: "table-box" }, make("table", { class: "plain" },
          table(heads, account.children.map(([id, name, key, score, arr]) => [accountLink(id, name), tier(key), number(score, 1), number(arr)])))));
    }
    fill("relatives", parts);
  }

  function show(account) {
    const metrics = account.metrics.map((each) => readMetric(account, each));
    document.getElementById("missing").hidden = true;
    document.getElementById("account").hidden = false;
    showHead(account);
    showWhy(account, metrics);
    showActions(account);
    showContact(account);
    showSure(account, metrics);
    showChanges(account, metrics, 28);
    for (const button of document.querySelectorAll("[data-days]")) button.onclick = () => showChanges(account, metrics, Number(button.dataset.days));
    showHistory(account);
    showPeople(account);
    showDimensions(account);
    showMetrics(account, metrics);
    showFamily(account);
  }

  function showMissing(title, text) {
    document.title = "Customer health";
    document.getElementById("account").hidden = true;
    const place = fill("missing", make("h1", {}, title), make("p", {}, text), make("p", {}, make("a", { href: board.accountsLink({}) }, "All accounts")));
    place.hidden = false;
  }

  function open() {
    let wanted = "";
    try {
      wanted = decodeURIComponent(board.address().id);
    } catch {
      // Not an address that the board has written.
    }
    if (!wanted) {
      showMissing("No account chosen", "The address of an account's page ends in its id.");
      return;
    }
    board.find("accounts", wanted, (account) => (account ? show(account) : showMissing("No such account", `No account with this id was scored${shared.asOf ? ` on ${day(shared.asOf)}` : ""}. It may have left since.`)),
      () => showMissing("This account cannot be read", "A file of the board is missing. If the board was copied, copy its whole folder."));
  }

  board.followOwner(() => {});
  window.addEventListener("hashchange", () => { open(); window.scrollTo(0, 0); });
  open();
})();
