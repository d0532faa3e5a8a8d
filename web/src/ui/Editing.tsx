import { Box, Button, Group, Stack, Table, Text } from "@mantine/core";
import { modals } from "@mantine/modals";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Fragment, type ReactNode } from "react";
import { ApiError, type Tagged } from "../api/client";
import { type Difference, difference } from "./diff";
import { words } from "./format";
import { Listing } from "./Listing";
import { Cancelled } from "./notify";
import { Loaded } from "./states";

/** A thing as it was when the person began to change it. */
export type Begun<V> = {
  value: V;
  /** Writes the change while the thing is still what was begun from; otherwise asks whose state shall count. */
  save: <Out>(mine: Partial<V>, write: (tag: string) => Promise<Out>) => Promise<Out>;
};

/** Reads a thing afresh and gives it to a form, which begins anew when the person takes another's state of it. */
export function Editing<V extends object>(props: {
  of: unknown[];
  read: (signal?: AbortSignal) => Promise<Tagged<V>>;
  rows?: number;
  /** The form stays open after it was saved. */
  stays?: boolean;
  children: (begun: Begun<V>) => ReactNode;
}) {
  const queries = useQueryClient();
  const queryKey = ["begun", ...props.of];
  const query = useQuery({
    queryKey,
    queryFn: ({ signal }) => props.read(signal),
    // What the form began from must not change below it.
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  });
  return (
    <Loaded query={query} rows={props.rows}>
      {({ value, tag }) => (
        <Fragment key={tag}>
          {props.children({
            value,
            save: async (mine, write) => {
              const out = await unlessChanged({
                tag,
                write,
                read: props.read,
                differ: (theirs) => difference(only(theirs, mine), mine),
                take: (theirs) => queries.setQueryData(queryKey, theirs),
              });
              if (props.stays) await queries.invalidateQueries({ queryKey });
              return out;
            },
          })}
        </Fragment>
      )}
    </Loaded>
  );
}

const only = <V extends object>(theirs: V, mine: Partial<V>) =>
  Object.fromEntries(Object.keys(mine).map((k) => [k, theirs[k as keyof V]]));

type Attempt<V, Out> = {
  tag: string;
  write: (tag: string) => Promise<Out>;
  read: () => Promise<Tagged<V>>;
  /** What the person would overwrite; nothing: the other's change was elsewhere, and both stand. */
  differ: (theirs: V) => Difference[];
  take: (theirs: Tagged<V>) => void;
  ask?: (differences: Difference[]) => Promise<Choice>;
};
type Choice = "theirs" | "mine" | "neither";

/** Writes with the entity tag of what was read; when it was changed since, the person decides (412, RFC 9110 section 15.5.13). */
export async function unlessChanged<V, Out>(a: Attempt<V, Out>): Promise<Out> {
  let { tag } = a;
  for (;;) {
    try {
      return await a.write(tag);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 412) throw error;
    }
    const theirs = await a.read();
    const differences = a.differ(theirs.value);
    const choice = differences.length === 0 ? "mine" : await (a.ask ?? ask)(differences);
    if (choice === "theirs") a.take(theirs);
    if (choice !== "mine") throw new Cancelled();
    tag = theirs.tag;
  }
}

function ask(differences: Difference[]): Promise<Choice> {
  return new Promise((resolve) => {
    let choice: Choice = "neither";
    const id = modals.open({
      title: "Somebody else changed this meanwhile",
      size: "lg",
      closeOnClickOutside: false,
      onClose: () => resolve(choice),
      children: (
        <Meanwhile
          differences={differences}
          choose={(c) => {
            choice = c;
            modals.close(id);
          }}
        />
      ),
    });
  });
}

function Meanwhile({ differences, choose }: { differences: Difference[]; choose: (c: Choice) => void }) {
  return (
    <Stack>
      <Text size="sm">Nothing is saved yet. This is how the two differ:</Text>
      <Box mah="50dvh" style={{ overflowY: "auto" }}>
        <Listing minWidth={380} verticalSpacing={6} highlightOnHover={false} aria-label="Theirs and yours">
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Field</Table.Th>
              <Table.Th>Theirs</Table.Th>
              <Table.Th>Yours</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {differences.map((d) => (
              <Table.Tr key={d.path}>
                <Table.Td>{label(d.path)}</Table.Td>
                <Table.Td style={{ overflowWrap: "anywhere" }}>{d.before ?? "–"}</Table.Td>
                <Table.Td style={{ overflowWrap: "anywhere" }}>{d.after ?? "–"}</Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Listing>
      </Box>
      <Group justify="flex-end">
        <Button variant="default" onClick={() => choose("theirs")} data-autofocus>
          See theirs, drop yours
        </Button>
        <Button onClick={() => choose("mine")}>Keep yours</Button>
      </Group>
    </Stack>
  );
}

/** "baseUrls.llm" → "Base urls, llm". */
const label = (path: string) =>
  words(path.replaceAll(/([a-z])([A-Z])/g, (_, a: string, b: string) => `${a} ${b.toLowerCase()}`)).replaceAll(
    ".",
    ", ",
  );
