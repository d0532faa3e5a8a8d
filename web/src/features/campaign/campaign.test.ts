import { describe, expect, it } from "vitest";
import type { CampaignHour, CampaignSettings } from "../../api/types";
import { countries } from "./countries";
import { changes, type DraftValues, readStep, stepOf, stepOfObstacle, wrong } from "./draft";
import { readCampaignFilters } from "./filters";
import { cellWords, heat } from "./heat";
import { fieldOf, missing } from "./mapping";
import { duration } from "./Prediction";
import { rowsAt, scrollTo } from "./rows";
import { readWeek, weekInWords, writeWeek, wrongSpans } from "./week";
import { minutesInWords, money, ruleName, timesInWords } from "./words";
import { fromWall, toWall } from "./zone";

describe("hours of a week", () => {
  it("are read and written as the settings have them", () => {
    const hours = { "mon-thu": "09:00-12:00 14:00-18:00", fri: "09:00-12:00", sun: "20:00-24:00" };
    expect(writeWeek(readWeek(hours))).toEqual(hours);
    expect(readWeek(hours).sun).toEqual([{ from: "20:00", to: "00:00" }]);
    expect(readWeek({ "sat-mon": "10:00-11:00", "wed,fri": "08:00-09:00" })).toMatchObject({
      sat: [{ from: "10:00", to: "11:00" }],
      mon: [{ from: "10:00", to: "11:00" }],
      tue: [],
      wed: [{ from: "08:00", to: "09:00" }],
      fri: [{ from: "08:00", to: "09:00" }],
    });
    expect(writeWeek(readWeek({}))).toEqual({});
  });

  it("are said in words", () => {
    expect(weekInWords({ "mon-fri": "09:00-12:00 14:00-18:00", sat: "10:00-11:00" })).toBe(
      "Monday to Friday 09:00–12:00 and 14:00–18:00, Saturday 10:00–11:00",
    );
  });

  it("are wrong when they overlap, end before they begin or are not whole", () => {
    expect(wrongSpans([{ from: "09:00", to: "12:00" }])).toBeUndefined();
    expect(wrongSpans([{ from: "20:00", to: "00:00" }])).toBeUndefined();
    expect(wrongSpans([{ from: "12:00", to: "09:00" }])).toMatch(/ends before/);
    expect(wrongSpans([{ from: "09:00", to: "" }])).toMatch(/both/);
    expect(
      wrongSpans([
        { from: "09:00", to: "12:00" },
        { from: "11:00", to: "13:00" },
      ]),
    ).toMatch(/overlap/);
  });
});

describe("times on the wall of a zone", () => {
  it("are instants and back, in summer and winter, beyond UTC's day", () => {
    for (const [wall, zone, iso] of [
      ["2026-12-01T09:00", "Europe/Berlin", "2026-12-01T08:00:00.000Z"],
      ["2026-07-01T09:00", "America/New_York", "2026-07-01T13:00:00.000Z"],
      ["2026-07-01T00:30", "Pacific/Auckland", "2026-06-30T12:30:00.000Z"],
      ["2026-07-01T09:15", "Asia/Kathmandu", "2026-07-01T03:30:00.000Z"],
    ] as const) {
      expect(fromWall(wall, zone)).toBe(iso);
      expect(toWall(iso, zone)).toBe(wall);
    }
  });

  it("that clocks skip are as far after the leap", () => {
    expect(fromWall("2026-03-29T02:30", "Europe/Berlin")).toBe("2026-03-29T01:30:00.000Z");
    expect(fromWall("2026-03-08T02:30", "America/New_York")).toBe("2026-03-08T07:30:00.000Z");
  });

  it("that are none are none", () => {
    expect(fromWall("", "UTC")).toBeNull();
    expect(fromWall("tomorrow", "UTC")).toBeNull();
    expect(toWall(undefined, "UTC")).toBe("");
    expect(toWall("tomorrow", "UTC")).toBe("");
  });
});

const settings = {
  agent: "desk",
  dialler: { lines: 5, perSecond: 1, ratio: 1, mostDropped: 0.03, ringSeconds: 30 },
  schedule: { zone: "UTC", hours: {}, ends: "2031-01-01T00:00:00Z" },
  retry: { perDay: 2, total: 4, vary: true, on: {} },
  budget: { perMinute: 0, perCall: 0, most: 0, currency: "EUR" },
  weight: 1,
} as unknown as CampaignSettings;
const draft: DraftValues = { name: "Spring", settings };

describe("a draft", () => {
  it("sends what changed by whole sections", () => {
    expect(changes(draft, draft)).toEqual({});
    expect(changes(draft, { ...draft, name: "Summer" })).toEqual({ name: "Summer" });
    const dialler = { ...settings.dialler, lines: 9 };
    expect(changes(draft, { ...draft, settings: { ...settings, dialler } })).toEqual({ settings: { dialler } });
  });

  it("takes away an end that was emptied", () => {
    const now = { ...draft, settings: { ...settings, schedule: { ...settings.schedule, ends: undefined } } };
    expect(changes(draft, now as DraftValues).settings?.schedule).toMatchObject({ ends: null, starts: null });
  });

  it("is wrong without a name or with a number that was emptied", () => {
    expect(wrong(draft)).toEqual({});
    const bad = {
      name: " ",
      settings: {
        ...settings,
        weight: "" as never,
        retry: { ...settings.retry, on: { busy: { times: 1, minutes: "" as never, factor: 1, mostMinutes: 60 } } },
      },
    };
    expect(Object.keys(wrong(bad)).sort()).toEqual(["name", "settings.retry.on.busy.minutes", "settings.weight"]);
  });

  it("knows the step of a field and of what is in the way", () => {
    expect(stepOf("settings.dialler.lines")).toBe("speed");
    expect(stepOf("settings.retry.on.busy.times")).toBe("again");
    expect(stepOf("elsewhere")).toBeUndefined();
    expect(stepOfObstacle({ code: "leads", field: "", message: "", blocking: true })).toBe("whom");
    expect(stepOfObstacle({ code: "x", field: "body.settings.agent", message: "", blocking: true })).toBe("who");
    expect(stepOfObstacle({ code: "prediction", field: "", message: "", blocking: true })).toBeUndefined();
    expect(readStep("again")).toBe("again");
    expect(readStep("nowhere")).toBeUndefined();
  });
});

describe("the map of hours", () => {
  const hour = (iso: string, attempts: number, answered: number): CampaignHour => ({
    hour: iso,
    attempts,
    answered,
    dropped: 0,
    talkMs: 0,
  });

  it("adds up by weekday and hour of the campaign's zone, and finds the best", () => {
    const h = heat(
      [
        hour("2026-11-23T08:00:00Z", 10, 2), // Monday, 9 in Berlin
        hour("2026-11-30T08:00:00Z", 10, 4),
        hour("2026-11-24T16:00:00Z", 20, 12), // Tuesday, 17
        hour("2026-11-29T23:00:00Z", 1, 1), // Monday, 0: too few to be the best
      ],
      "Europe/Berlin",
    );
    expect(h.cells.mon[9]).toEqual({ attempts: 20, answered: 6 });
    expect(h.cells.mon[0]).toEqual({ attempts: 1, answered: 1 });
    expect([h.first, h.last]).toEqual([0, 17]);
    expect(h.best).toMatchObject({ day: "tue", hour: 17, rate: 0.6, attempts: 20 });
    expect(cellWords("tue", 17, { attempts: 20, answered: 12 })).toBe("Tuesday, 17–18: 12 of 20 answered");
  });

  it("is empty without calls", () => {
    expect(heat([], "UTC")).toMatchObject({ last: -1, best: undefined });
  });
});

describe("words", () => {
  it("say a rule by what it is and where", () => {
    expect(ruleName("campaign/attempts")).toBe("All attempts were made");
    expect(ruleName("gb/do-not-call")).toBe("On the public do-not-call register (United Kingdom)");
    expect(ruleName("us-fl/three-a-day")).toBe("Three a day (FL, United States)");
    expect(ruleName("eu-fr/hours")).toBe("Outside the hours for calls (France)");
  });

  it("say numbers", () => {
    expect(minutesInWords(90)).toBe("1 hour 30 minutes");
    expect(minutesInWords(2880)).toBe("2 days");
    expect(money(12.4, "EUR")).toBe("€12.40");
    expect(money(1, "no")).toBe("1.00 no");
    expect(duration(0.5)).toBe("30 min");
    expect(duration(30)).toBe("1.3 days");
  });

  it("write the times of a sentence as people read them", () => {
    const now = new Date(2026, 10, 23, 12);
    const at = new Date(2026, 10, 23, 14, 5).toISOString();
    expect(timesInWords(`Nobody may be called before ${at}.`, now)).toMatch(
      /^Nobody may be called before today, .*05.*\.$/,
    );
  });

  it("name countries once", () => {
    const all = countries();
    expect(all.find((c) => c.value === "DE")?.label).toBe("Germany");
    expect(all.length).toBeGreaterThan(200);
    expect(new Set(all.map((c) => c.label)).size).toBe(all.length);
  });

  it("narrow the list only by what there is", () => {
    expect(readCampaignFilters({ state: "running", archived: true })).toEqual({ state: "running", archived: true });
    expect(readCampaignFilters({ state: "nowhere", archived: false })).toEqual({});
  });
});

describe("what the columns of a list are", () => {
  it("is named for the agent as a column is", () => {
    expect(fieldOf("Order no.")).toBe("order_no");
    expect(fieldOf("Größe")).toBe("gro_e");
    expect(fieldOf("…")).toBe("value");
  });

  it("lacks numbers, names for values, or what the agent speaks of", () => {
    expect(missing({ A: "name" }, [])).toMatch(/telephone numbers/);
    expect(missing({ A: "phone", B: "var:" }, [])).toMatch(/a name/);
    expect(missing({ A: "phone", B: "name", C: "name" }, [])).toMatch(/the same: name/);
    expect(missing({ A: "phone", B: "var:x" }, ["order"])).toMatch(/speaks of order/);
    expect(missing({ A: "phone", B: "phone", C: "var:order" }, ["order"])).toBeUndefined();
  });
});

describe("rows of a long list", () => {
  it("are those that show, and some beside them", () => {
    expect(rowsAt(5, 50, 0, 600, 10)).toEqual({ height: 250, first: 0, last: 5, at: 0 });
    expect(rowsAt(100_000, 50, 0, 600, 10)).toEqual({ height: 5_000_000, first: 0, last: 22, at: 0 });
    expect(rowsAt(100_000, 50, 5000, 600, 10)).toEqual({ height: 5_000_000, first: 90, last: 122, at: 4500 });
    expect(rowsAt(100_000, 50, 5_000_000 - 600, 600, 0)).toMatchObject({ first: 99_988, last: 100_000 });
    expect(rowsAt(0, 50, 0, 600, 10)).toMatchObject({ first: 0, last: 0 });
  });

  it("of a list taller than a browser draws reach from the first to the last, each where it is seen", () => {
    const [n, row, view] = [5_000_000, 50, 600];
    const { height } = rowsAt(n, row, 0, view, 0);
    expect(height).toBeLessThan(17_000_000);
    expect(rowsAt(n, row, 0, view, 0)).toMatchObject({ first: 0, at: 0 });
    const end = rowsAt(n, row, height - view, view, 0);
    expect(end).toMatchObject({ first: n - 12, last: n });
    expect(end.at + 12 * row).toBeCloseTo(height);
    const middle = rowsAt(n, row, height / 2, view, 0);
    expect(middle.at).toBeLessThanOrEqual(height / 2);
    expect(middle.at + (middle.last - middle.first) * row).toBeGreaterThanOrEqual(height / 2 + view);
  });

  it("are scrolled to only where they are not seen", () => {
    expect(scrollTo(3, 100, 50, 0, 600)).toBeUndefined();
    expect(scrollTo(12, 100, 50, 0, 600)).toBe(50);
    expect(scrollTo(0, 100, 50, 400, 600)).toBe(0);
    const n = 5_000_000;
    const to = scrollTo(n - 1, n, 50, 0, 600) ?? 0;
    expect(rowsAt(n, 50, to, 600, 0).last).toBe(n);
  });
});
