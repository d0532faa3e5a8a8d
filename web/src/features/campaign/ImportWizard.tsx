import { Alert, Button, Checkbox, Group, Progress, Select, Stack, Table, Text, TextInput } from "@mantine/core";
import { IconFileSpreadsheet, IconUpload } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import { formErrors, messageOf } from "../../api/client";
import type { Campaign, LeadImport } from "../../api/types";
import { bytes } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { failed } from "../../ui/notify";
import css from "./campaign.module.css";
import { countries } from "./countries";
import { ImportState } from "./Imports";
import { type Uploaded, upload, useCancelImport, useFormatImport, useStartImport } from "./importApi";
import { fieldOf, meanings, missing } from "./mapping";

type Stage =
  | { at: "choose"; error?: string }
  | { at: "sending"; file: File; share: number; stop: () => void }
  | { at: "map"; uploaded: Uploaded }
  | { at: "run"; begun: LeadImport };

/** Brings a list of people from a file: it is chosen, its columns are named, and it is read. */
export function ImportWizard({ campaign }: { campaign: Campaign }) {
  const [stage, go] = useState<Stage>({ at: "choose" });
  const leave = useRef<() => void>(undefined);
  useEffect(() => () => leave.current?.(), []);
  const send = (file: File) => {
    const control = new AbortController();
    leave.current = () => control.abort();
    const stop = () => control.abort();
    go({ at: "sending", file, share: 0, stop });
    upload(campaign.id, file, (share) => go({ at: "sending", file, share, stop }), control.signal).then(
      (uploaded) => go({ at: "map", uploaded }),
      (e) => go(control.signal.aborted ? { at: "choose" } : { at: "choose", error: messageOf(e) }),
    );
  };
  switch (stage.at) {
    case "choose":
      return <Choose send={send} error={stage.error} />;
    case "sending":
      return (
        <Stack gap="xs">
          <Text size="sm" role="status">
            Sending {stage.file.name} ({bytes(stage.file.size)})
          </Text>
          <Progress value={stage.share * 100} animated aria-label="Sent so far" />
          <Group>
            <Button size="xs" variant="default" onClick={stage.stop}>
              Cancel
            </Button>
          </Group>
        </Stack>
      );
    case "map":
      return (
        <Mapping
          key={JSON.stringify(stage.uploaded.import.format)}
          campaign={campaign}
          written={(uploaded) => go({ at: "map", uploaded })}
          uploaded={stage.uploaded}
          started={(begun) => go({ at: "run", begun })}
          back={() => go({ at: "choose" })}
        />
      );
    case "run":
      return (
        <Stack>
          <ImportState campaignId={campaign.id} begun={stage.begun} />
          <Group>
            <Button variant="default" size="xs" onClick={() => go({ at: "choose" })}>
              Bring another file
            </Button>
          </Group>
        </Stack>
      );
  }
}

function Choose({ send, error }: { send: (f: File) => void; error?: string }) {
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  return (
    <Stack gap="sm">
      {error && (
        <Alert color="red" variant="light" role="alert" title="The file was not taken">
          {error}
        </Alert>
      )}
      {/* biome-ignore lint/a11y/noStaticElementInteractions: whoever cannot drop a file uses the button in it */}
      <div
        className={css.drop}
        data-over={over || undefined}
        onDragOver={(e) => {
          e.preventDefault();
          setOver(true);
        }}
        onDragLeave={() => setOver(false)}
        onDrop={(e) => {
          e.preventDefault();
          setOver(false);
          const file = e.dataTransfer.files[0];
          if (file) send(file);
        }}
      >
        <IconFileSpreadsheet size={30} stroke={1.5} aria-hidden />
        <Text>Drop a file here, or</Text>
        <Button variant="light" leftSection={<IconUpload size={16} />} onClick={() => input.current?.click()}>
          Choose a file
        </Button>
        <input
          ref={input}
          type="file"
          hidden
          aria-label="List of people"
          accept=".csv,.txt,.tsv,.xlsx,text/csv"
          onChange={(e) => {
            const file = e.currentTarget.files?.[0];
            if (file) send(file);
          }}
        />
        <Text size="xs" c="dimmed" ta="center">
          CSV of up to 1 GB or Excel of up to 100 MB, a person on each line. The first line names the columns.
        </Text>
      </div>
    </Stack>
  );
}

type MappingProps = {
  campaign: Campaign;
  uploaded: Uploaded;
  /** The file is written otherwise than was found out. */
  written: (u: Uploaded) => void;
  started: (i: LeadImport) => void;
  back: () => void;
};

function Mapping({ campaign, uploaded, written, started, back }: MappingProps) {
  const { import: i, sample } = uploaded;
  const [mapping, setMapping] = useState<Record<string, string>>(() =>
    Object.fromEntries(sample.columns.map((c) => [c, i.mapping?.[c] ?? ""])),
  );
  const [region, setRegion] = useState(i.region || campaign.settings.country);
  const [skip, setSkip] = useState(i.skipInOtherCampaigns);
  const start = useStartImport();
  const cancel = useCancelImport();
  const problem = missing(mapping, i.required ?? []);
  const begin = () =>
    start.mutate(
      {
        id: campaign.id,
        importId: i.id,
        body: { mapping, skipInOtherCampaigns: skip, ...(region ? { region } : {}) },
      },
      { onSuccess: started, onError: failed },
    );
  return (
    <Stack>
      <Text size="sm">
        <b>{i.name}</b>, {bytes(i.bytes)}. What is in its columns? What was chosen for such a file the last time is
        chosen here.
      </Text>
      {i.format.kind === "csv" && <Written campaign={campaign} of={i} written={written} />}
      <Listing minWidth={sample.columns.length * 190} verticalSpacing="xs" aria-label="The first lines of the file">
        <Table.Thead>
          <Table.Tr>
            {sample.columns.map((c) => (
              <Table.Th key={c}>{c || "(no name)"}</Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          <Table.Tr>
            {sample.columns.map((c) => (
              <Table.Td key={c} data-named style={{ verticalAlign: "top" }}>
                <Meaning column={c} value={mapping[c] ?? ""} change={(v) => setMapping({ ...mapping, [c]: v })} />
              </Table.Td>
            ))}
          </Table.Tr>
          {sample.rows.slice(0, 5).map((row, n) => (
            <Table.Tr key={`row-${n.toString()}`}>
              {sample.columns.map((c, k) => (
                <Table.Td key={c} style={{ overflowWrap: "anywhere" }}>
                  {row[k] ?? ""}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Listing>
      <Group align="flex-end" gap="lg">
        <Select
          label="Country of numbers without a country code"
          placeholder="None: such numbers are refused"
          data={countries()}
          searchable
          clearable
          value={region || null}
          onChange={(v) => setRegion(v ?? "")}
          w={300}
        />
        <Checkbox
          label="Leave out people whom another campaign calls"
          checked={skip}
          onChange={(e) => setSkip(e.currentTarget.checked)}
        />
      </Group>
      {problem && (
        <Alert color="clay" variant="light">
          {problem}
        </Alert>
      )}
      <Group>
        <Button onClick={begin} loading={start.isPending} disabled={problem !== undefined}>
          Add these people
        </Button>
        <Button
          variant="default"
          onClick={() => cancel.mutate({ id: campaign.id, importId: i.id }, { onSuccess: back, onError: failed })}
        >
          Another file
        </Button>
      </Group>
    </Stack>
  );
}

const encodings = [
  { value: "utf-8", label: "UTF-8 (most programs)" },
  { value: "windows-1252", label: "Windows-1252 (older Excel, Western Europe)" },
  { value: "utf-16le", label: "UTF-16 (“Unicode text”)" },
  { value: "utf-16be", label: "UTF-16, the other byte first" },
];

const delimiters = [
  { value: ",", label: "Comma  ," },
  { value: ";", label: "Semicolon  ;" },
  { value: "\t", label: "Tab" },
  { value: "|", label: "Bar  |" },
];

/** How a text file is written, where that was not found out rightly; the first lines below follow. */
function Written({ campaign, of: i, written }: { campaign: Campaign; of: LeadImport; written: (u: Uploaded) => void }) {
  const format = useFormatImport();
  const { encoding, delimiter } = i.format;
  const errors = formErrors(format.error);
  const change = (part: { encoding?: string; delimiter?: string }) =>
    format.mutate(
      { id: campaign.id, importId: i.id, encoding, delimiter, ...part },
      { onSuccess: written, onError: (e) => Object.keys(formErrors(e)).length === 0 && failed(e) },
    );
  return (
    <Group align="flex-start" gap="lg">
      <Select
        label="Letters"
        description="Where names look garbled, choose another"
        data={encodings}
        allowDeselect={false}
        value={encoding}
        disabled={format.isPending}
        error={errors["format.encoding"] ?? errors.encoding ?? errors.file}
        onChange={(v) => v && change({ encoding: v })}
        w={{ base: "100%", sm: 330 }}
      />
      <Select
        label="Between columns"
        description="Where columns stick together"
        data={
          delimiters.some((d) => d.value === delimiter)
            ? delimiters
            : [...delimiters, { value: delimiter, label: delimiter }]
        }
        allowDeselect={false}
        value={delimiter}
        disabled={format.isPending}
        error={errors["format.delimiter"] ?? errors.delimiter}
        onChange={(v) => v && change({ delimiter: v })}
        w={{ base: "100%", sm: 220 }}
      />
    </Group>
  );
}

function Meaning({ column, value, change }: { column: string; value: string; change: (v: string) => void }) {
  const variable = value.startsWith("var:");
  return (
    <Stack gap={4}>
      <Select
        aria-label={`What is in ${column || "the column without a name"}`}
        size="xs"
        data={meanings}
        allowDeselect={false}
        value={variable ? "var:" : value}
        onChange={(v) => change(v === "var:" ? `var:${fieldOf(column)}` : (v ?? ""))}
      />
      {variable && (
        <TextInput
          size="xs"
          aria-label={`What the agent calls ${column}`}
          placeholder="order_number"
          value={value.slice(4)}
          onChange={(e) => change(`var:${e.currentTarget.value}`)}
        />
      )}
    </Stack>
  );
}
