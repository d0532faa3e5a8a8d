import { Badge, Button, Group, Modal, Paper, Radio, Select, Stack, Table, TextInput } from "@mantine/core";
import { useForm } from "@mantine/form";
import { useDebouncedValue, useDisclosure } from "@mantine/hooks";
import { IconBuilding, IconPlus, IconSearch } from "@tabler/icons-react";
import { Link, useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { when } from "../../ui/format";
import { Listing } from "../../ui/Listing";
import { More } from "../../ui/More";
import { done, refuse } from "../../ui/notify";
import { Page } from "../../ui/Page";
import { ShownOnce } from "../../ui/ShownOnce";
import { Empty, Loaded } from "../../ui/states";
import { amount } from "./limits";
import { usePlans, useSuperCreate, useSuperOrganisations } from "./superApi";

/** Every organisation of the installation, for those who run it. */
export function SuperPage() {
  const [text, setText] = useState("");
  const [search] = useDebouncedValue(text.trim(), 300);
  const organisations = useSuperOrganisations(search);
  const [open, dialog] = useDisclosure(false);
  const [link, setLink] = useState<{ link: string; email: string } | null>(null);
  return (
    <Page
      title="Organisations"
      lead="Every organisation on this server."
      actions={
        <Button leftSection={<IconPlus size={16} />} onClick={dialog.open}>
          New organisation
        </Button>
      }
    >
      <Paper p="md">
        <Stack>
          <TextInput
            aria-label="Search by name"
            placeholder="Search by name"
            leftSection={<IconSearch size={16} />}
            maw={320}
            data-search
            value={text}
            onChange={(e) => setText(e.currentTarget.value)}
          />
          <Loaded query={organisations} rows={5}>
            {(data) =>
              data.items.length === 0 ? (
                <Empty
                  icon={<IconBuilding size={22} />}
                  title="No such organisation"
                  text="No name holds these letters."
                />
              ) : (
                <OrganisationTable {...data} />
              )
            }
          </Loaded>
          <More query={organisations} />
        </Stack>
      </Paper>
      <Modal opened={open} onClose={dialog.close} title="New organisation">
        <NewOrganisation close={dialog.close} onLink={setLink} />
      </Modal>
      <ShownOnce
        title="The owner's invitation"
        secret={link?.link ?? null}
        label="the link"
        close={() => setLink(null)}
        why={`No mail is set up here, so hand this link to ${link?.email} yourself. It is not shown again.`}
      />
    </Page>
  );
}

type Items = NonNullable<ReturnType<typeof useSuperOrganisations>["data"]>;

function OrganisationTable({ items }: Pick<Items, "items">) {
  const navigate = useNavigate();
  return (
    <Listing minWidth={640}>
      <Table.Thead>
        <Table.Tr>
          <Table.Th>Name</Table.Th>
          <Table.Th>Plan</Table.Th>
          <Table.Th>Data</Table.Th>
          <Table.Th ta="right">People</Table.Th>
          <Table.Th ta="right">Agents</Table.Th>
          <Table.Th ta="right">Minutes</Table.Th>
          <Table.Th>Since</Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {items.map((o) => (
          <Table.Tr
            key={o.id}
            className="rowlink"
            onClick={() => navigate({ to: "/super/$organisationId", params: { organisationId: o.id } })}
          >
            <Table.Td>
              <Group gap="xs">
                <Link
                  to="/super/$organisationId"
                  params={{ organisationId: o.id }}
                  style={{ color: "inherit", fontWeight: 600 }}
                  onClick={(e) => e.stopPropagation()}
                >
                  {o.name}
                </Link>
                {o.suspendedAt && <Badge color="red">suspended</Badge>}
              </Group>
            </Table.Td>
            <Table.Td>{o.plan?.name ?? "–"}</Table.Td>
            <Table.Td>
              {o.placement === "own" ? "own" : "shared"}
              {o.region && `, ${o.region}`}
            </Table.Td>
            {(["seats", "agents", "minutes"] as const).map((k) => (
              <Table.Td key={k} ta="right" className="num">
                {amount(k, o.use[k])}
              </Table.Td>
            ))}
            <Table.Td>{when(o.createdAt)}</Table.Td>
          </Table.Tr>
        ))}
      </Table.Tbody>
    </Listing>
  );
}

function NewOrganisation(props: { close: () => void; onLink: (l: { link: string; email: string }) => void }) {
  const create = useSuperCreate();
  const plans = usePlans();
  const form = useForm({
    initialValues: { name: "", ownerEmail: "", placement: "shared" as "shared" | "own", region: "", planId: "" },
    validate: {
      name: (v) => (v.trim() ? null : "Give the organisation a name."),
      ownerEmail: (v) => (/^\S+@\S+\.\S+$/.test(v) ? null : "An e-mail address looks like name@example.org."),
    },
  });
  return (
    <form
      noValidate
      onSubmit={form.onSubmit(({ region, planId, ...v }) =>
        create.mutate(
          {
            ...v,
            name: v.name.trim(),
            ...(v.placement === "own" && region.trim() ? { region: region.trim() } : {}),
            ...(planId ? { planId } : {}),
          },
          {
            onSuccess: ({ invitation: i }) => {
              props.close();
              if (i.shownLink) props.onLink({ link: i.shownLink, email: i.email });
              else done(`The organisation is made. An invitation is on its way to ${i.email}.`);
            },
            onError: (e) => refuse(form, e),
          },
        ),
      )}
    >
      <Stack>
        <TextInput label="Name" required maxLength={120} data-autofocus {...form.getInputProps("name")} />
        <TextInput
          label="E-mail of its owner"
          description="They are invited"
          type="email"
          required
          {...form.getInputProps("ownerEmail")}
        />
        <Radio.Group label="Where its data is" {...form.getInputProps("placement")}>
          <Stack gap="xs" mt="xs">
            <Radio value="shared" label="In the database shared with others" />
            <Radio value="own" label="In a database of its own" />
          </Stack>
        </Radio.Group>
        {form.values.placement === "own" && (
          <TextInput
            label="Region"
            description="One of the setting “regions”; empty: the installation's own"
            {...form.getInputProps("region")}
          />
        )}
        {(plans.data?.items.length ?? 0) > 0 && (
          <Select
            label="Plan"
            placeholder="None"
            clearable
            data={plans.data?.items.map((p) => ({ value: p.id, label: p.name }))}
            value={form.values.planId || null}
            onChange={(v) => form.setFieldValue("planId", v ?? "")}
          />
        )}
        <Group justify="flex-end">
          <Button variant="default" onClick={props.close}>
            Cancel
          </Button>
          <Button type="submit" loading={create.isPending}>
            Make the organisation
          </Button>
        </Group>
      </Stack>
    </form>
  );
}
