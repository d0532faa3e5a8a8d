import { Button, Group, Modal, Stack, Text } from "@mantine/core";
import { useState } from "react";
import type { Campaign, Lead, LeadDetail } from "../../api/types";
import { confirm, done, failed } from "../../ui/notify";
import { Loaded } from "../../ui/states";
import { useMay } from "../identity/api";
import { CallBackForm } from "./CallBackForm";
import { LeadForm } from "./LeadForm";
import { LeadTimeline } from "./LeadTimeline";
import { useDeleteLead, useLead } from "./leadsApi";
import { over } from "./words";

type Props = { campaign: Campaign; lead: Lead; close: () => void };

/** One person of a list: what may be done, what is known, and all that happened. */
export function LeadPanel({ campaign, lead, close }: Props) {
  const detail = useLead(campaign.id, lead.id);
  return (
    <Loaded query={detail} rows={4}>
      {(d) => (
        <Stack>
          <Actions campaign={campaign} lead={d} close={close} />
          <LeadTimeline lead={d} />
        </Stack>
      )}
    </Loaded>
  );
}

function Actions({ campaign, lead, close }: { campaign: Campaign; lead: LeadDetail; close: () => void }) {
  const may = useMay()("campaign:update");
  const remove = useDeleteLead();
  const [asking, ask] = useState<"change" | "callback" | null>(null);
  if (!may) return null;
  const name = lead.name || lead.number;
  if (lead.state === "dialling" || lead.state === "in_call") {
    return (
      <Text size="sm" c="dimmed" role="status">
        {name} is being called. What you want to change can be changed when the call is over.
      </Text>
    );
  }
  const goesOn = !over(campaign.state);
  return (
    <>
      <Group gap="xs">
        {goesOn && (
          <Button size="xs" variant="default" onClick={() => ask("change")}>
            Change
          </Button>
        )}
        {goesOn && lead.state !== "do_not_call" && (
          <Button size="xs" variant="default" onClick={() => ask("callback")}>
            Call at a time
          </Button>
        )}
        {lead.attempts === 0 && (
          <Button
            size="xs"
            variant="subtle"
            color="red"
            loading={remove.isPending}
            onClick={() =>
              confirm({
                title: `Delete ${name}?`,
                text: "They are taken off this campaign's list. To have nobody call them any more, put the number on a do-not-call list instead.",
                action: "Delete",
                onConfirm: () =>
                  remove.mutate(
                    { id: campaign.id, leadId: lead.id },
                    {
                      onSuccess: () => {
                        close();
                        done(`${name} is off the list.`);
                      },
                      onError: failed,
                    },
                  ),
              })
            }
          >
            Delete
          </Button>
        )}
      </Group>
      {!goesOn && (
        <Text size="sm" c="dimmed">
          The campaign is over. To call somebody again, duplicate it.
        </Text>
      )}
      {goesOn && lead.attempts > 0 && (
        <Text size="xs" c="dimmed">
          Who was called stays on the list, for the record.
        </Text>
      )}
      <Modal opened={asking === "change"} onClose={() => ask(null)} title={`Change ${name}`}>
        {asking === "change" && <LeadForm campaign={campaign} lead={lead} close={() => ask(null)} />}
      </Modal>
      <Modal opened={asking === "callback"} onClose={() => ask(null)} title={`When is ${name} called?`}>
        {asking === "callback" && <CallBackForm campaign={campaign} lead={lead} close={() => ask(null)} />}
      </Modal>
    </>
  );
}
