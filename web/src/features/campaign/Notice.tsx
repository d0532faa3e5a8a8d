import { Alert, Button, Group, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { client, unwrap } from "../../api/client";
import type { Campaign, CampaignNotice } from "../../api/types";
import { count, since } from "../../ui/format";
import { done, failed } from "../../ui/notify";
import { useMay } from "../identity/api";
import { useChange } from "../identity/peopleApi";
import { over } from "./words";

const useNotice = (id: string, enabled: boolean) =>
  useQuery({
    queryKey: ["campaigns", "notice", id],
    enabled,
    queryFn: async ({ signal }) =>
      (await unwrap(client.GET("/api/v1/campaigns/{id}/webhook", { params: { path: { id } }, signal })))
        .notice as CampaignNotice | null,
    refetchInterval: (q) => (q.state.data?.state === "waiting" ? 5_000 : false),
  });

const useTellAgain = () =>
  useChange(["campaigns"], (id: string) =>
    unwrap(client.POST("/api/v1/campaigns/{id}/webhook", { params: { path: { id } } })),
  );

/** Whether the address that is told of a campaign's end was told. */
export function NoticeLine({ campaign: c }: { campaign: Campaign }) {
  const may = useMay()("campaign:run");
  const notice = useNotice(c.id, over(c.state)).data;
  const again = useTellAgain();
  if (!notice) return null;
  const { state } = notice;
  return (
    <Alert
      color={state === "failed" ? "red" : "gray"}
      variant="light"
      title={state === "delivered" ? "It was told" : state === "failed" ? "It could not be told" : "It is being told"}
    >
      <Group justify="space-between" gap="sm">
        <Text size="sm" style={{ overflowWrap: "anywhere", flex: "1 1 260px" }}>
          {notice.url}
          {notice.triedAt && `, ${since(notice.triedAt)}`}
          {notice.attempts > 1 && `, ${count(notice.attempts, "attempt", "attempts")}`}
          {notice.error && `: ${notice.error}`}
        </Text>
        {may && state !== "waiting" && (
          <Button
            size="xs"
            variant="default"
            loading={again.isPending}
            onClick={() => again.mutate(c.id, { onSuccess: () => done("It is told again."), onError: failed })}
          >
            Tell it again
          </Button>
        )}
      </Group>
    </Alert>
  );
}
