/** The API's models by the names the features use. All come from the generated schema. */
import type { components } from "./schema";

type S = components["schemas"];

/** Go writes an empty list as null in places; unwrap gives lists, and this says so to the compiler. */
export type Solid<T> = T extends (infer U)[] ? Solid<U>[] : T extends object ? { [K in keyof T]: SolidField<T[K]> } : T;
type SolidField<V> = [Extract<V, unknown[]>] extends [never] ? Solid<V> : Solid<Exclude<V, null>>;

export type Page<T> = { items: T[]; next: string | null };

export type Impersonation = S["Impersonation"];
/** A reference to another schema cannot say that it may be null; the description does. */
export type Account = Omit<Solid<S["Account"]>, "impersonatedBy"> & { impersonatedBy: Impersonation | null };
export type Token = Solid<S["Token"]>;
export type MFA = Omit<Solid<S["MFA"]>, "totp"> & { totp: S["TOTPFactor"] | null };
export type Passkey = S["Passkey"];
export type Session = S["SessionView"];
export type Organisation = S["OrganisationView"];
export type Member = Solid<S["Member"]>;
export type Invitation = Solid<S["Invitation"]>;
export type SentInvitation = Solid<S["SentInvitation"]>;
export type Team = Solid<S["Team"]>;
export type Project = S["Project"];
export type Role = Solid<S["Role"]>;
export type PlanLimits = S["PlanLimits"];
export type Use = S["Use"];
export type LimitsView = Omit<S["LimitsView"], "plan"> & { plan: S["PlanRef"] | null };
export type Plan = S["Plan"];
export type SuperOrganisation = Omit<S["SuperOrganisation"], "plan"> & { plan: S["PlanRef"] | null };

export type AuditEntry = S["AuditEntry"];
export type AuditState = Omit<S["AuditState"], "signedHead" | "broken"> & {
  signedHead: S["AuditHead"] | null;
  broken: S["AuditBroken"] | null;
};
export type Retention = S["Retention"];
export type RetentionSettings = S["RetentionSettings"];
export type LegalHold = S["LegalHold"];
export type Erasure = Omit<S["Erasure"], "certificate"> & { certificate: S["ErasureCertificate"] | null };
export type Consent = S["Consent"];

export type Agent = S["Agent"];
export type AgentVersion = Solid<S["Version"]>;
export type AgentTemplate = Solid<S["Template"]>;
export type Problem = S["Problem"];
export type Definition = Solid<S["Definition"]>;
export type ModelChoice = S["ModelRef"];
export type Tool = S["Tool"];
export type Limits = S["Limits"];
export type Interruption = S["Interruption"];

export type Flow = Solid<S["Graph"]>;
export type FlowData = Solid<S["Data"]>;
export type FlowNode = Solid<S["Node"]>;
export type FlowNodeType = FlowNode["type"];
export type FlowNodeData = Solid<S["NodeData"]>;
export type FlowIntent = Solid<S["Intent"]>;
export type FlowEdge = S["Edge"];
export type Department = Solid<S["Department"]>;

export type Service = "stt" | "llm" | "tts";
export type Model = Solid<S["Model"]>;
export type ModelInput = S["ModelInput"];
export type ProbeResult = Solid<S["Probe"]>;

export type Phone = Solid<S["Phone"]>;
export type PhoneServer = Solid<S["PhoneServer"]>;
export type Trunk = Solid<S["TrunkView"]>;
export type TrunkCheck = Solid<S["TrunkCheck"]>;
export type CallerNumber = Solid<S["CallerNumber"]>;

export type Activity = "" | "listening" | "thinking" | "speaking" | "paused" | "tool";
export type Call = S["CallRecord"];
export type CallDetail = S["CallDetail"];
export type CallLeg = S["CallLeg"];
export type TranscriptItem = S["TranscriptItem"];
export type Turn = S["CallTurn"];
export type Signal = S["CallSignal"];
export type Peaks = S["Peaks"];
export type Overview = S["Overview"];

/** One line of a call's event log, as the data channel carries it: what is empty is left out. */
export type Entry = Pick<S["CallEntry"], "seq" | "atUs" | "kind"> & Partial<S["CallEntry"]>;

export type Campaign = Solid<S["Campaign"]>;
export type CampaignState = Campaign["state"];
export type CampaignSettings = Campaign["settings"];
export type CampaignBackoff = S["Backoff"];
export type CampaignProgress = S["Progress"];
export type CampaignNotice = S["Notice"];
export type CampaignHour = S["Hour"];
export type Preflight = Solid<S["Preflight"]>;
export type Obstacle = S["Obstacle"];

export type DoNotCallList = Solid<S["List"]>;
export type DoNotCallFound = Solid<S["Found"]>;
export type DoNotCallRegister = Omit<Solid<S["Register"]>, "version"> & { version: S["RegisterVersion"] | null };

export type LeadImport = Omit<Solid<S["Import"]>, "percent"> & { percent: number | null };
export type Lead = Solid<S["Lead"]>;
export type LeadEvent = S["LeadEvent"];
export type LeadDetail = Solid<S["LeadDetail"]>;
export type DoneLeads = S["DoneLeads"];
export type Explanation = Omit<Solid<S["Explanation"]>, "decision"> & { decision: Solid<S["Decision"]> | null };
