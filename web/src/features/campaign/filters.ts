import type { CampaignState } from "../../api/types";

/** What the list of campaigns is narrowed to; it lives in the address. */
export type CampaignFilters = { state?: CampaignState; archived?: true };

export const states = ["draft", "checked", "scheduled", "running", "paused", "finished", "stopped"] as const;

/** An address can hold anything; what is no choice is left out. */
export function readCampaignFilters(search: Record<string, unknown>): CampaignFilters {
  const state = states.find((s) => s === search.state);
  return { ...(state ? { state } : {}), ...(search.archived ? { archived: true } : {}) };
}
