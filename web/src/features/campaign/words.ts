import type { CampaignSettings, CampaignState } from "../../api/types";
import { since, words } from "../../ui/format";

/** What the codes of campaigns are called on the pages. */

export const stateNames: Record<CampaignState, string> = {
  draft: "Draft",
  checked: "Checked",
  scheduled: "Scheduled",
  running: "Running",
  paused: "Paused",
  finished: "Finished",
  stopped: "Stopped",
};

export const stateColours: Record<CampaignState, string> = {
  draft: "gray",
  checked: "teal",
  scheduled: "blue",
  running: "pine",
  paused: "clay",
  finished: "gray",
  stopped: "red",
};

/** Whether a campaign was not started yet. */
export const unbegun = (s: CampaignState) => s === "draft" || s === "checked";

/** Whether nobody is called any more. */
export const over = (s: CampaignState) => s === "finished" || s === "stopped";

export const purposes: { value: CampaignSettings["purpose"]; label: string; description: string }[] = [
  { value: "service", label: "Service", description: "About something the person ordered, booked or asked for" },
  { value: "survey", label: "Survey", description: "Questions, and nothing is sold" },
  { value: "sales", label: "Sales", description: "An offer. Many places then ask for consent and have shorter hours" },
];

type Mode = CampaignSettings["dialler"]["mode"];

export const modes: Record<Mode, { label: string; description: string }> = {
  agentless: { label: "The agent talks", description: "An AI agent speaks with everybody who answers" },
  preview: { label: "Preview", description: "An operator looks at a person's record first, then calls" },
  progressive: { label: "Progressive", description: "One call for each operator who is free" },
  ratio: { label: "Fixed ratio", description: "A set number of calls for each operator who is free" },
  predictive: { label: "Predictive", description: "As many calls as are safe, so that operators wait little" },
};

/** Attempts by how they ended, in the order of reports. */
export const outcomes: Record<string, { label: string; description: string }> = {
  answered: { label: "Answered", description: "Somebody was spoken to" },
  refused: { label: "Said no", description: "Somebody was spoken to and said no" },
  opt_out: { label: "Asked not to be called", description: "They are not called again by anybody here" },
  callback: { label: "Asked for another time", description: "They are called then" },
  machine: { label: "Answering machine", description: "Nothing was said to it" },
  message: { label: "Message left", description: "An answering machine took it" },
  busy: { label: "Busy", description: "" },
  no_answer: { label: "No answer", description: "It rang long enough" },
  rejected: { label: "Declined", description: "The phone or its network declined the call" },
  invalid: { label: "No such number", description: "" },
  fax: { label: "Fax", description: "" },
  failed: { label: "Failed", description: "The call could not be carried" },
  dropped: { label: "Dropped", description: "Somebody answered and nobody was there in time" },
  lost: { label: "Unknown", description: "What became of it is not known: a process ended meanwhile" },
  unplaced: { label: "Not placed", description: "No line was free, or the campaign was stopped first" },
};

export const outcomeName = (o: string) => outcomes[o]?.label ?? words(o);

export const leadStates: Record<string, { label: string; description: string }> = {
  new: { label: "Not called yet", description: "" },
  waiting: { label: "To be called again", description: "At a later time" },
  dialling: { label: "Being called", description: "" },
  in_call: { label: "In a call", description: "" },
  done: { label: "Done", description: "" },
  do_not_call: { label: "Do not call", description: "Never again" },
};

export const leadStateName = (s: string) => leadStates[s]?.label ?? words(s);

const ownRules: Record<string, string> = {
  "own/do-not-call": "On a do-not-call list of yours",
  "own/hours": "Outside the campaign's own hours",
  "own/cap": "Called often enough, by the campaign's own limit",
  "campaign/schedule": "Before the campaign begins, or after it ends",
  "campaign/attempts-a-day": "Called often enough today",
  "campaign/attempts": "All attempts were made",
  "campaign/one-at-a-time": "Another campaign is calling the number",
  "campaign/number": "Not a number that can be called",
  "all/do-not-call": "Asked not to be called",
  "all/refusal": "Said no before",
};

const kinds: Record<string, string> = {
  hours: "Outside the hours for calls",
  night: "At night",
  holidays: "On a holiday",
  consent: "Needs consent, and there is none",
  automated: "A machine's voice needs consent, and there is none",
  "do-not-call": "On the public do-not-call register",
  refusal: "Said no before",
  withdrawn: "Consent was withdrawn",
  abandoned: "Too many calls were dropped",
  "after-dropped": "A call to them was dropped not long ago",
};

const places: Record<string, string> = {
  ae: "United Arab Emirates",
  all: "everywhere",
  ca: "Canada",
  eu: "European Union",
  gb: "United Kingdom",
  in: "India",
  other: "places without rules of their own here",
  us: "United States",
};

const regions = typeof Intl.DisplayNames === "function" ? new Intl.DisplayNames("en", { type: "region" }) : undefined;

/** A rule on calling by its name, "us-fl/three-a-day", in words. */
export function ruleName(rule: string): string {
  const own = ownRules[rule];
  if (own) return own;
  const [pack = "", id = ""] = rule.split("/");
  const what = kinds[id] ?? words(id.replaceAll("-", " ") || pack);
  return `${what} (${placeName(pack)})`;
}

function placeName(pack: string): string {
  const known = places[pack];
  if (known) return known;
  const [country = "", part = ""] = pack.split("-");
  if (country === "us" && part) return `${part.toUpperCase()}, United States`;
  if (country === "eu" && part) return regions?.of(part.toUpperCase()) ?? part.toUpperCase();
  return pack.toUpperCase();
}

export const percent = (share: number, digits = 0) => `${(share * 100).toFixed(digits)} %`;

/** "12.40 EUR", as the person's language writes it. */
export function money(amount: number, currency: string): string {
  try {
    return new Intl.NumberFormat("en-GB", { style: "currency", currency: currency || "EUR" }).format(amount);
  } catch {
    return `${amount.toFixed(2)} ${currency}`;
  }
}

/** 90 → "1 hour 30 minutes". */
export function minutesInWords(total: number): string {
  const unit = (n: number, one: string) => (n === 0 ? "" : `${n} ${one}${n === 1 ? "" : "s"}`);
  const days = Math.floor(total / 1440);
  const hours = Math.floor((total % 1440) / 60);
  return [unit(days, "day"), unit(hours, "hour"), unit(total % 60, "minute")].filter(Boolean).join(" ") || "at once";
}

/** A sentence of the server with its times as people read them: "before 2026-11-23T08:00:00Z" is "before 23 Nov, 09:00". */
export const timesInWords = (text: string, now = new Date()) =>
  text.replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g, (iso) => since(iso, now));
