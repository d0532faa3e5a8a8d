import { Button, Group, Stack, Textarea, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { IconFolder } from "@tabler/icons-react";
import type { Project } from "../../api/types";
import type { Begun } from "../../ui/Editing";
import { when } from "../../ui/format";
import { done, refuse } from "../../ui/notify";
import { NamedThings } from "./NamedThings";
import { readProject, useDeleteProject, useProjects, useSaveProject } from "./peopleApi";

/** Projects: names under which programs sort what belongs together. */
export function ProjectsPage() {
  return (
    <NamedThings
      one="project"
      title="Projects"
      lead="A client, a campaign, a branch. Agents, phones and calls can belong to one; programs place them through the API."
      icon={<IconFolder size={22} />}
      empty={{ title: "No projects yet", text: "You need none, unless a program of yours asks for them." }}
      query={useProjects()}
      column={{ title: "Since", of: (p: Project) => when(p.createdAt) }}
      remove={{ text: "Only the name goes. Agents, calls and people stay as they are.", by: useDeleteProject() }}
      read={readProject}
      form={(close, begun) => <ProjectForm begun={begun} close={close} />}
    />
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
