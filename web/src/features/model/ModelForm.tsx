import {
  Autocomplete,
  Button,
  Chip,
  Fieldset,
  Group,
  Modal,
  PasswordInput,
  SimpleGrid,
  Stack,
  Text,
  TextInput,
} from "@mantine/core";
import { useForm } from "@mantine/form";
import type { Model, ModelInput, Service } from "../../api/types";
import { type Begun, Editing } from "../../ui/Editing";
import { done, failed, refuse } from "../../ui/notify";
import { readModel, useProbe, useSaveModel } from "./api";
import { ProbeLines } from "./Probe";
import { presets, serviceNames, services } from "./presets";

type Values = {
  name: string;
  baseUrls: Record<Service, string>;
  keys: Record<Service, string>;
  defaults: Record<Service | "voice", string>;
};

/** What is sent: services are those with an address, and a key only when one was typed. */
export function toInput(v: Values): ModelInput {
  const used = services.filter((s) => v.baseUrls[s].trim() !== "");
  const keys = Object.fromEntries(used.filter((s) => v.keys[s]).map((s) => [s, v.keys[s]]));
  const defaults = Object.fromEntries(Object.entries(v.defaults).filter(([, d]) => d));
  return {
    name: v.name.trim(),
    baseUrls: Object.fromEntries(used.map((s) => [s, v.baseUrls[s].trim().replace(/\/+$/, "")])),
    defaults,
    ...(Object.keys(keys).length > 0 ? { keys } : {}),
  };
}

/** Makes a server, or changes one. */
export function ModelDialog({ model, close }: { model?: Model; close: () => void }) {
  return (
    <Modal opened onClose={close} title={model ? `Change ${model.name}` : "Add a server"} size="lg">
      {model ? (
        <Editing of={["model", model.id]} read={readModel(model.id)}>
          {(begun) => <ModelForm begun={begun} close={close} />}
        </Editing>
      ) : (
        <ModelForm close={close} />
      )}
    </Modal>
  );
}

function ModelForm({ begun, close }: { begun?: Begun<Model>; close: () => void }) {
  const model = begun?.value;
  const save = useSaveModel(model?.id);
  const probe = useProbe();
  const form = useForm<Values>({
    initialValues: {
      name: model?.name ?? "",
      baseUrls: { stt: "", llm: "", tts: "", ...model?.baseUrls },
      keys: { stt: "", llm: "", tts: "" },
      defaults: { stt: "", llm: "", tts: "", voice: "", ...model?.defaults },
    },
    validate: {
      name: (v) => (v.trim() ? null : "Give it a name."),
      baseUrls: Object.fromEntries(
        services.map((s) => [
          s,
          (v: string) =>
            v === "" || /^https?:\/\/\S+$/.test(v) ? null : "An address looks like http://127.0.0.1:11434/v1.",
        ]),
      ),
    },
  });
  const used = services.filter((s) => form.values.baseUrls[s]);
  const fill = (name: string) => {
    const p = presets.find((x) => x.name === name);
    if (!p) return;
    form.setFieldValue("name", form.values.name || p.name);
    form.setFieldValue("baseUrls", { stt: "", llm: "", tts: "", ...p.baseUrls });
  };
  const submit = form.onSubmit(async (v) => {
    const body = toInput(v);
    const { keys: _, ...mine } = body; // a key is never read, so it cannot differ
    try {
      if (begun) await begun.save(mine, (tag) => save.mutateAsync({ tag, body }));
      else await save.mutateAsync({ body });
      done("Saved.");
      close();
    } catch (e) {
      refuse(form, e);
    }
  });
  return (
    <form onSubmit={submit}>
      <Stack>
        {!model && (
          <div>
            <Text size="sm" fw={500} mb={6}>
              Begin with
            </Text>
            <Chip.Group onChange={(v) => fill(String(v))}>
              <Group gap={8}>
                {presets.map((p) => (
                  <Chip key={p.name} value={p.name} title={p.about} size="sm">
                    {p.name}
                  </Chip>
                ))}
              </Group>
            </Chip.Group>
          </div>
        )}
        <TextInput label="Name" required {...form.getInputProps("name")} />
        {services.map((s) => {
          const found = probe.data?.services[s]?.models ?? [];
          return (
            <Fieldset key={s} legend={serviceNames[s]} radius="lg" variant="default">
              <SimpleGrid cols={{ base: 1, sm: 2 }} spacing="sm">
                <TextInput label="Base URL" placeholder="Empty: not offered" {...form.getInputProps(`baseUrls.${s}`)} />
                <PasswordInput
                  label="Key"
                  placeholder={model?.hasKey?.[s] ? "Kept; type to replace it" : "Only if the server asks for one"}
                  autoComplete="off"
                  disabled={!form.values.baseUrls[s]}
                  {...form.getInputProps(`keys.${s}`)}
                />
                {form.values.baseUrls[s] && (
                  <Autocomplete
                    label="Model"
                    placeholder="Check to find them"
                    data={[...new Set(found)]}
                    {...form.getInputProps(`defaults.${s}`)}
                  />
                )}
                {s === "tts" && form.values.baseUrls.tts && (
                  <TextInput label="Voice" placeholder="alloy, af_heart, …" {...form.getInputProps("defaults.voice")} />
                )}
              </SimpleGrid>
            </Fieldset>
          );
        })}
        {probe.data && <ProbeLines result={probe.data} />}
        <Group justify="space-between">
          <Button
            variant="default"
            disabled={used.length === 0}
            loading={probe.isPending}
            onClick={() => {
              const typed = Object.values(form.values.keys).some(Boolean);
              // A saved server is checked with the keys it has, unless something new was typed.
              probe.mutate(
                model && !form.isDirty() && !typed
                  ? { id: model.id }
                  : { draft: { ...toInput(form.values), ...(model ? { id: model.id } : {}) } },
                {
                  onError: failed,
                },
              );
            }}
          >
            Check
          </Button>
          <Group>
            <Button variant="subtle" color="gray" onClick={close}>
              Cancel
            </Button>
            <Button type="submit" loading={save.isPending} disabled={used.length === 0}>
              Save
            </Button>
          </Group>
        </Group>
      </Stack>
    </form>
  );
}
