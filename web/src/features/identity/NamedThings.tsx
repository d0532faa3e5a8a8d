import { Button, Modal, Paper, Table } from "@mantine/core";
import { IconPlus } from "@tabler/icons-react";
import type { UseInfiniteQueryResult, UseMutationResult, UseQueryResult } from "@tanstack/react-query";
import { type ReactNode, useState } from "react";
import type { Tagged } from "../../api/client";
import { type Begun, Editing } from "../../ui/Editing";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { done, failed } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { RowActions } from "../../ui/RowActions";
import { Empty, Loaded } from "../../ui/states";
import { useMay } from "./api";

type Named = { id: string; name: string; description: string };
type Props<T extends Named> = {
  /** In the words of a person and of a permission: "team". */
  one: string;
  title: string;
  lead: string;
  icon: ReactNode;
  empty: { title: string; text: string };
  query: UseQueryResult<{ items: T[] }> | UseInfiniteQueryResult<{ items: T[] }>;
  column: { title: string; of: (thing: T) => ReactNode };
  remove: { text: string; by: UseMutationResult<unknown, unknown, string> };
  read: (id: string) => (signal?: AbortSignal) => Promise<Tagged<T>>;
  /** The form for a new thing, or for one that is changed. */
  form: (close: () => void, begun?: Begun<T>) => ReactNode;
};

/** The page of things that have a name and say what for: teams, projects. */
export function NamedThings<T extends Named>(props: Props<T>) {
  const { one, query, column } = props;
  const may = useMay();
  const [open, setOpen] = useState<T | "new" | null>(null);
  const close = () => setOpen(null);
  const add = may(`${one}:create`) && (
    <Button leftSection={<IconPlus size={16} />} onClick={() => setOpen("new")}>
      New {one}
    </Button>
  );
  const remove = (thing: T) => ({
    text: props.remove.text,
    run: () => props.remove.by.mutate(thing.id, { onSuccess: () => done(`The ${one} was deleted.`), onError: failed }),
  });
  return (
    <Page title={props.title} lead={props.lead} actions={add}>
      <Paper p="md">
        <Loaded query={query as UseQueryResult<{ items: T[] }>}>
          {({ items }) =>
            items.length === 0 ? (
              <Empty icon={props.icon} title={props.empty.title} text={props.empty.text} action={add} />
            ) : (
              <Listing minWidth={520}>
                <Table.Thead>
                  <Table.Tr>
                    <Table.Th>Name</Table.Th>
                    <Table.Th>What for</Table.Th>
                    <Table.Th>{column.title}</Table.Th>
                    <Table.Th aria-label="Actions" />
                  </Table.Tr>
                </Table.Thead>
                <Table.Tbody>
                  {items.map((t) => (
                    <Table.Tr key={t.id}>
                      <Table.Td fw={600}>{t.name}</Table.Td>
                      <Table.Td>{t.description || "–"}</Table.Td>
                      <Table.Td>{column.of(t)}</Table.Td>
                      <Table.Td>
                        <RowActions
                          name={t.name}
                          change={may(`${one}:update`) ? () => setOpen(t) : undefined}
                          remove={may(`${one}:delete`) ? remove(t) : undefined}
                        />
                      </Table.Td>
                    </Table.Tr>
                  ))}
                </Table.Tbody>
              </Listing>
            )
          }
        </Loaded>
        {"hasNextPage" in query && <More query={query} />}
      </Paper>
      <Modal
        opened={open !== null}
        onClose={close}
        title={open && open !== "new" ? `${one.charAt(0).toUpperCase()}${one.slice(1)} ${open.name}` : `New ${one}`}
      >
        {open === "new" && props.form(close)}
        {open && open !== "new" && (
          <Editing of={[one, open.id]} read={props.read(open.id)}>
            {(begun) => props.form(close, begun)}
          </Editing>
        )}
      </Modal>
    </Page>
  );
}
