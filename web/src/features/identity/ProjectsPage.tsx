import { Button, Group, Modal, Paper, Stack, Table, Textarea, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconFolder, IconPlus } from "@tabler/icons-react";
import { useState } from "react";
import type { Project } from "../../api/types";
import { type Begun, Editing } from "../../ui/Editing";
import { when } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { confirm, done, failed, refuse } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { Empty, Loaded } from "../../ui/states";
import { useMay } from "./api";
import { readProject, useDeleteProject, useProjects, useSaveProject } from "./peopleApi";

/** Projects: names under which programs sort what belongs together. */
export function ProjectsPage() {
  const may = useMay();
  const projects = useProjects();
  const [open, setOpen] = useState<Project | "new" | null>(null);
  const add = may("project:create") && (
    <Button leftSection={<IconPlus size={16} />} onClick={() => setOpen("new")}>
      New project
    </Button>
  );
  return (
    <Page
      title="Projects"
      lead="A client, a campaign, a branch. Programs read them through the API; nothing else here is sorted by them yet."
      actions={add}
    >
      <Paper p="md">
        <Loaded query={projects}>
          {(data) =>
            data.items.length === 0 ? (
              <Empty
                icon={<IconFolder size={22} />}
                title="No projects yet"
                text="You need none, unless a program of yours asks for them."
                action={add}
              />
            ) : (
              <ProjectTable projects={data.items} open={setOpen} />
            )
          }
        </Loaded>
        <More query={projects} />
      </Paper>
      <Modal
        opened={open !== null}
        onClose={() => setOpen(null)}
        title={open && open !== "new" ? `Project ${open.name}` : "New project"}
      >
        {open === "new" && <ProjectForm close={() => setOpen(null)} />}
        {open && open !== "new" && (
          <Editing of={["project", open.id]} read={readProject(open.id)}>
            {(begun) => <ProjectForm begun={begun} close={() => setOpen(null)} />}
          </Editing>
        )}
      </Modal>
    </Page>
  );
}

function ProjectTable({ projects, open }: { projects: Project[]; open: (p: Project) => void }) {
  const may = useMay();
  const remove = useDeleteProject();
  const ask = (p: Project) =>
    confirm({
      title: `Delete ${p.name}?`,
      text: "Only the name goes. Agents, calls and people stay as they are.",
      action: "Delete",
      onConfirm: () => remove.mutate(p.id, { onSuccess: () => done("The project was deleted."), onError: failed }),
    });
  return (
    <Listing minWidth={480}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Name</Table.Th>
          <Table.Th>What for</Table.Th>
          <Table.Th>Since</Table.Th>
          <Table.Th aria-label="Actions" />
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {projects.map((p) => (
          <Table.Tr key={p.id}>
            <Table.Td fw={600}>{p.name}</Table.Td>
            <Table.Td>{p.description || "–"}</Table.Td>
            <Table.Td>{when(p.createdAt)}</Table.Td>
            <Table.Td>
              <Group gap={4} justify="flex-end" wrap="nowrap">
                {may("project:update") && (
                  <Button size="xs" variant="subtle" onClick={() => open(p)} aria-label={`Change ${p.name}`}>
                    Change
                  </Button>
                )}
                {may("project:delete") && (
                  <Button size="xs" variant="subtle" color="red" onClick={() => ask(p)} aria-label={`Delete ${p.name}`}>
                    Delete
                  </Button>
                )}
              </Group>
            </Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}

function ProjectForm({ begun, close }: { begun?: Begun<Project>; close: () => void }) {
  const project = begun?.value;
  const save = useSaveProject();
  const form = useForm({
    initialValues: { name: project?.name ?? "", description: project?.description ?? "" },
    validate: { name: (v) => (v.trim() ? null : "Give the project a name.") },
  });
  const submit = form.onSubmit(async ({ name, description }) => {
    const mine = { name: name.trim(), description };
    try {
      if (begun) await begun.save(mine, (tag) => save.mutateAsync({ id: begun.value.id, tag, ...mine }));
      else await save.mutateAsync(mine);
      done(begun ? "The project was changed." : "The project was made.");
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form noValidate onSubmit={submit}>
      <Stack>
        <TextInput label="Name" required maxLength={120} data-autofocus {...form.getInputProps("name")} />
        <Textarea label="What for" autosize maxRows={4} maxLength={500} {...form.getInputProps("description")} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button type="submit" loading={save.isPending}>
            {project ? "Save" : "Make the project"}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
