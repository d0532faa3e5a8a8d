import { Alert, Badge, Paper, Select, SimpleGrid, Stack, TextInput } from "@mantine/core";
import { IconShieldCheck, IconShieldX, IconZoomQuestion } from "@tabler/icons-react";
import type { UseQueryResult } from "@tanstack/react-query";
import { type FormEvent, useEffect, useState } from "react";
import type { AuditEntry, AuditState } from "../../api/types";
import { count, since, when } from "../../ui/format";
import { More } from "../../ui/More";
import { Empty, Loaded } from "../../ui/states";
import { useNames } from "../identity/peopleApi";
import type { useAudit } from "./api";
import css from "./compliance.module.css";
import { EntryDetail } from "./EntryDetail";
import type { AuditFilters } from "./filters";

type Names = Map<string, string>;
type Props = {
  filters: AuditFilters;
  narrow: (filters: AuditFilters) => void;
  entries: ReturnType<typeof useAudit>;
  state: UseQueryResult<AuditState>;
};

/** A chain of audit entries: whether it is whole, what it is narrowed to, and the entries. */
export function Trail({ filters, narrow, entries, state }: Props) {
  const names = useNames();
  return (
    <>
      <ChainState state={state} />
      <Filters filters={filters} narrow={narrow} names={names} />
      <Paper p={0} className={css.list}>
        <Loaded query={entries} rows={8}>
          {(data) =>
            data.items.length === 0 ? (
              <Empty
                icon={<IconZoomQuestion size={22} />}
                title="Nothing fits"
                text="Take a filter away to see more."
              />
            ) : (
              <ul className={css.entries}>
                {data.items.map((e) => (
                  <Entry key={e.id} entry={e} names={names} />
                ))}
              </ul>
            )
          }
        </Loaded>
      </Paper>
      <More query={entries} />
    </>
  );
}

function ChainState({ state }: Pick<Props, "state">) {
  return (
    <Loaded query={state} rows={1}>
      {(s) =>
        s.intact ? (
          <Alert color="pine" variant="light" icon={<IconShieldCheck size={20} />} p="sm">
            The chain of {count(s.entries, "entry", "entries")} is whole and unchanged
            {s.verifiedAt && `, proved in full ${since(s.verifiedAt)}`}.{" "}
            {s.signedHead ? `Signed up to entry ${s.signedHead.seq}.` : "Its first daily signature is still to come."}
          </Alert>
        ) : (
          <Alert color="red" variant="light" icon={<IconShieldX size={20} />} title="The chain is broken" role="alert">
            {s.broken ? `At entry ${s.broken.seq}: ${s.broken.why}.` : "It could not be proved."} Somebody changed the
            database by hand, or it is damaged. Keep what there is and compare it with a backup.
          </Alert>
        )
      }
    </Loaded>
  );
}

const days = ["from", "to"] as const;
const labels = { from: "From", to: "To" };

function Filters({ filters, narrow, names }: Pick<Props, "filters" | "narrow"> & { names: Names }) {
  const set = (change: AuditFilters) => {
    const next: Record<string, unknown> = { ...filters, ...change };
    for (const k of Object.keys(next)) if (!next[k]) delete next[k];
    narrow(next as AuditFilters);
  };
  const people = [...names].map(([value, label]) => ({ value, label }));
  if (filters.actor && !names.has(filters.actor)) people.push({ value: filters.actor, label: filters.actor });
  return (
    <SimpleGrid cols={{ base: 2, md: 3, lg: 4 }} spacing="sm" component="search">
      {people.length > 0 ? (
        <Select
          label="Who"
          placeholder="Anybody"
          searchable
          clearable
          data={people}
          value={filters.actor ?? null}
          onChange={(v) => set({ actor: v ?? undefined })}
        />
      ) : (
        <Word label="Who (id)" value={filters.actor} onSet={(actor) => set({ actor })} />
      )}
      <Word
        label="Action"
        placeholder="agent.publish or agent.*"
        value={filters.action}
        onSet={(action) => set({ action })}
      />
      <Word label="Kind of thing" placeholder="agent" value={filters.kind} onSet={(kind) => set({ kind })} />
      <Word label="Id of the thing" value={filters.object} onSet={(object) => set({ object })} />
      <Select
        label="Outcome"
        placeholder="Any"
        clearable
        data={[
          { value: "done", label: "Done" },
          { value: "denied", label: "Denied" },
          { value: "failed", label: "Failed" },
        ]}
        value={filters.outcome ?? null}
        onChange={(v) => set({ outcome: (v as AuditFilters["outcome"]) ?? undefined })}
      />
      <Word label="From the address" placeholder="203.0.113.7" value={filters.ip} onSet={(ip) => set({ ip })} />
      {days.map((k) => (
        <TextInput
          key={k}
          type="date"
          label={labels[k]}
          value={filters[k] ?? ""}
          onChange={(e) => set({ [k]: e.currentTarget.value })}
        />
      ))}
    </SimpleGrid>
  );
}

/** A filter that is typed: it counts on Enter, or when one leaves the field. */
function Word(props: { label: string; placeholder?: string; value?: string; onSet: (v: string | undefined) => void }) {
  const [text, setText] = useState(props.value ?? "");
  useEffect(() => setText(props.value ?? ""), [props.value]);
  const commit = () => {
    if (text.trim() !== (props.value ?? "")) props.onSet(text.trim() || undefined);
  };
  const submit = (e: FormEvent) => {
    e.preventDefault();
    commit();
  };
  return (
    <form onSubmit={submit}>
      <TextInput
        label={props.label}
        placeholder={props.placeholder}
        value={text}
        onChange={(e) => setText(e.currentTarget.value)}
        onBlur={commit}
      />
    </form>
  );
}

const outcomeColours = { done: "gray", denied: "red", failed: "clay" } as const;

function Entry({ entry: e, names }: { entry: AuditEntry; names: Names }) {
  const [open, setOpen] = useState(false);
  const who = names.get(e.actorId) ?? (e.actorId ? `${e.actorKind} ${e.actorId.slice(0, 8)}` : e.actorKind);
  const object = names.get(e.objectId) ?? e.objectId.slice(0, 13);
  return (
    <li>
      <button type="button" className={css.entry} aria-expanded={open} onClick={() => setOpen(!open)}>
        <span className={css.at}>{when(e.at)}</span>
        <span className={css.what}>
          <strong className="mono">{e.action}</strong>
          {e.outcome !== "done" && <Badge color={outcomeColours[e.outcome]}>{e.outcome}</Badge>}
        </span>
        <span className={css.who}>
          {who}
          {e.impersonatorId && ` (by ${names.get(e.impersonatorId) ?? "an administrator of the installation"})`}
        </span>
        <span className={css.thing}>
          {e.kind} {object !== e.kind && object}
        </span>
        <span className={css.ip}>{e.ip || "–"}</span>
      </button>
      {open && (
        <Stack p="md" pt={0}>
          <EntryDetail entry={e} names={names} />
        </Stack>
      )}
    </li>
  );
}
