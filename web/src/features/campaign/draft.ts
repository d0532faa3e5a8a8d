import type { Campaign, CampaignSettings, Obstacle } from "../../api/types";

/** What the builder edits. Numbers that were emptied are "" until something is typed. */
export type DraftValues = { name: string; settings: CampaignSettings };

export const draftOf = (c: Campaign): DraftValues => ({ name: c.name, settings: c.settings });

export const steps = [
  {
    id: "who",
    title: "Who calls",
    fields: ["name", "settings.agent", "settings.purpose", "settings.disclosure", "settings.optOutKey"],
  },
  { id: "whom", title: "Whom", fields: ["settings.country", "settings.lists"], codes: ["leads", "registers"] },
  { id: "where", title: "From where", fields: ["settings.callers"], codes: ["callers"] },
  { id: "when", title: "When", fields: ["settings.schedule"], codes: ["hours"] },
  { id: "speed", title: "How fast", fields: ["settings.dialler", "settings.weight"], codes: ["mode"] },
  { id: "again", title: "Again", fields: ["settings.retry"] },
  { id: "machine", title: "Machines", fields: ["settings.voicemail"] },
  { id: "results", title: "Results and cost", fields: ["settings.outcomes", "settings.budget", "settings.webhook"] },
  { id: "check", title: "Check and start", fields: [] },
] as const satisfies { id: string; title: string; fields: readonly string[]; codes?: readonly string[] }[];

export type StepId = (typeof steps)[number]["id"];

export const readStep = (v: unknown): StepId | undefined => steps.find((s) => s.id === v)?.id;

/** The step on which a field is. */
export function stepOf(field: string): StepId | undefined {
  return steps.find((s) => s.fields.some((f) => field === f || field.startsWith(`${f}.`)))?.id;
}

/** The step on which something that is in the way is put right. */
export function stepOfObstacle(o: Obstacle): StepId | undefined {
  return (
    (o.field ? stepOf(o.field.replace(/^body\./, "")) : undefined) ??
    steps.find((s) => "codes" in s && (s.codes as readonly string[]).includes(o.code))?.id
  );
}

/** The part of now that differs from what was saved, by whole sections of the settings: what is left out stays. */
export function changes(was: DraftValues, now: DraftValues): { name?: string; settings?: Partial<CampaignSettings> } {
  const out: { name?: string; settings?: Partial<CampaignSettings> } = {};
  if (now.name !== was.name) out.name = now.name;
  const settings: Record<string, unknown> = {};
  for (const key of Object.keys(now.settings) as (keyof CampaignSettings)[]) {
    if (JSON.stringify(now.settings[key]) !== JSON.stringify(was.settings[key])) settings[key] = now.settings[key];
  }
  if ("schedule" in settings) {
    // What is left out stays on the server; null takes it away.
    settings.schedule = {
      ...now.settings.schedule,
      starts: now.settings.schedule.starts || null,
      ends: now.settings.schedule.ends || null,
    };
  }
  if (Object.keys(settings).length > 0) out.settings = settings as Partial<CampaignSettings>;
  return out;
}

const numbers = [
  "dialler.lines",
  "dialler.perSecond",
  "dialler.ratio",
  "dialler.mostDropped",
  "dialler.ringSeconds",
  "retry.perDay",
  "retry.total",
  "budget.perMinute",
  "budget.perCall",
  "budget.most",
  "weight",
];

/** What is wrong with a draft that no server needs to be asked for, by field. */
export function wrong(v: DraftValues): Record<string, string> {
  const out: Record<string, string> = {};
  if (!v.name.trim()) out.name = "Give it a name.";
  for (const path of numbers) {
    const value = path
      .split(".")
      .reduce<unknown>((o, k) => (o as Record<string, unknown> | undefined)?.[k], v.settings);
    if (typeof value !== "number") out[`settings.${path}`] = "A number belongs here.";
  }
  for (const [outcome, b] of Object.entries(v.settings.retry.on)) {
    for (const key of ["times", "minutes", "factor", "mostMinutes"] as const) {
      if (typeof b[key] !== "number") out[`settings.retry.on.${outcome}.${key}`] = "A number belongs here.";
    }
  }
  return out;
}
