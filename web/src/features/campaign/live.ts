import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { CampaignProgress } from "../../api/types";

export type LiveState = "connecting" | "live" | "waiting" | "off";

/** Watches how a campaign goes while a page shows it; what comes replaces what was asked for. */
export function useLive(id: string): LiveState {
  const queries = useQueryClient();
  const [state, setState] = useState<LiveState>("connecting");
  useEffect(() => {
    const source = new EventSource(`/api/v1/campaigns/${encodeURIComponent(id)}/live`);
    let last: string | undefined;
    source.addEventListener("open", () => setState("live"));
    source.addEventListener("error", () => setState(source.readyState === EventSource.CLOSED ? "off" : "waiting"));
    source.addEventListener("progress", (e: MessageEvent<string>) => {
      const p = JSON.parse(e.data) as CampaignProgress;
      queries.setQueryData(["campaigns", "progress", id], p);
      const now = `${p.state} ${p.why}`;
      if (last !== undefined && last !== now) void queries.invalidateQueries({ queryKey: ["campaigns", "one", id] });
      last = now;
    });
    return () => source.close();
  }, [id, queries]);
  return state;
}
