import { Badge } from "@mantine/core";
import type { Call } from "../../api/types";
import { words } from "../../ui/format";

/** The state of a call in a word; while it goes on, what its agent does. */
export function CallStatus({ call }: { call: Pick<Call, "status" | "activity" | "endReason" | "answeredAt"> }) {
  if (call.status === "in_progress") {
    return <Badge color="pine">{call.activity ? `Live · ${call.activity}` : "Live"}</Badge>;
  }
  if (call.status !== "ended") return <Badge color="yellow.8">{words(call.status)}</Badge>;
  if (!call.answeredAt) return <Badge color="gray">{words(call.endReason || "not answered")}</Badge>;
  const fine = ["normal", "", "idle", "transferred", "max_duration"].includes(call.endReason);
  return <Badge color={fine ? "gray" : "red"}>{fine ? "Ended" : words(call.endReason)}</Badge>;
}

export const channelNames: Record<string, string> = { sip: "SIP phone", webrtc: "Browser", twilio: "Twilio" };
