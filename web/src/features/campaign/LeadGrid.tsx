import { Anchor, Badge, Drawer, Paper, Skeleton, Text } from "@mantine/core";
import { IconUsers } from "@tabler/icons-react";
import { Link } from "@tanstack/react-router";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import type { Campaign, Lead } from "../../api/types";
import { count, when } from "../../ui/format";
import { Empty, Failed, Rows } from "../../ui/states";
import css from "./campaign.module.css";
import { LeadPanel } from "./LeadPanel";
import { type LeadFilters, useFirstLeads, useLeadsBetween } from "./leadsApi";
import { rowsAt, scrollTo } from "./rows";
import { leadStateName, outcomeName } from "./words";

const ROW = 52; // pixels: what is drawn is reckoned from it
const BESIDE = 10; // rows that are drawn above and below those that are seen
const MORE = 30; // rows that are shown as coming where it is not known how many there are

type Props = { campaign: Campaign; filters: LeadFilters };

/** The people of a list: of any number only the rows that can be seen are read and drawn. */
export function LeadGrid({ campaign, filters }: Props) {
  const first = useFirstLeads(campaign.id, filters);
  if (first.isError && !first.data) return <Failed error={first.error} retry={() => first.refetch()} />;
  if (!first.data) return <Rows n={8} />;
  const narrowed = Object.values(filters).some(Boolean);
  if (first.data.items.length === 0) return <Nobody campaignId={campaign.id} narrowed={narrowed} />;
  return (
    <Scrolled
      key={JSON.stringify(filters)}
      campaign={campaign}
      filters={filters}
      total={first.data.total ?? undefined}
    />
  );
}

function Nobody({ campaignId, narrowed }: { campaignId: string; narrowed: boolean }) {
  return (
    <Paper>
      <Empty
        icon={<IconUsers size={22} />}
        title={narrowed ? "Nobody like that" : "Nobody is on the list yet"}
        text={narrowed ? "Change or clear what you look for." : "Bring a file with numbers, or add people one by one."}
        action={
          !narrowed && (
            <Anchor
              renderRoot={(p) => (
                <Link {...p} to="/campaigns/$campaignId/edit" params={{ campaignId }} search={{ step: "whom" }} />
              )}
              size="sm"
            >
              Bring a list
            </Anchor>
          )
        }
      />
    </Paper>
  );
}

function Scrolled({ campaign, filters, total }: Props & { total: number | undefined }) {
  const box = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  const [height, setHeight] = useState(600);
  const [reached, reach] = useState({ end: 0, more: true });
  const [active, setActive] = useState(0);
  const [shown, show] = useState<Lead | null>(null);
  const focus = useRef<number | null>(null);
  const rows = total ?? reached.end + (reached.more ? MORE : 0);
  const w = rowsAt(rows, ROW, top, height, BESIDE);
  const leads = useLeadsBetween(campaign.id, filters, w.first, w.last);
  const { end, more } = leads;
  useEffect(() => {
    if (end > 0) reach((r) => (end > r.end || (end === r.end && more !== r.more) ? { end, more } : r));
  }, [end, more]);
  useEffect(() => {
    if (box.current) setHeight(box.current.clientHeight);
  }, []);
  // The row that a key leads to takes the focus once it is there.
  useEffect(() => {
    if (focus.current === null) return;
    const button = box.current?.querySelector<HTMLElement>(`[data-index="${focus.current}"] button`);
    if (!button) return;
    button.focus({ preventScroll: true });
    focus.current = null;
  });
  const go = (e: KeyboardEvent) => {
    const to = destination(e.key, active, rows, Math.max(1, Math.floor(height / ROW) - 2));
    if (to === undefined || !box.current) return;
    e.preventDefault();
    setActive(to);
    focus.current = to;
    const y = scrollTo(to, rows, ROW, top, height - ROW);
    if (y !== undefined) box.current.scrollTop = y;
  };
  const tabbed = active >= w.first && active < w.last ? active : w.first;
  return (
    <Paper p={0} style={{ overflow: "hidden" }}>
      <Text size="xs" c="dimmed" px="md" py={8} role="status">
        {total !== undefined
          ? count(total, "person", "people")
          : `${reached.end.toLocaleString("en-GB")}${reached.more ? " and more" : ""} found`}
      </Text>
      {leads.failed && <Failed error={leads.failed.error} retry={() => leads.failed?.refetch()} />}
      {/* biome-ignore lint/a11y/useSemanticElements: a table cannot leave out rows that are not drawn */}
      <div
        ref={box}
        className={css.grid}
        role="grid"
        aria-label="People"
        aria-rowcount={total === undefined && reached.more ? -1 : rows + 1}
        aria-colcount={4}
        tabIndex={-1}
        onKeyDown={go}
        onScroll={(e) => {
          setTop(e.currentTarget.scrollTop);
          setHeight(e.currentTarget.clientHeight);
        }}
      >
        <Heads />
        {/* biome-ignore lint/a11y/useSemanticElements: see above */}
        <div role="rowgroup" style={{ height: w.height, position: "relative" }}>
          {Array.from({ length: w.last - w.first }, (_, i) => w.first + i).map((index) => (
            <LeadRow
              key={index}
              lead={leads.at(index)}
              index={index}
              top={w.at + (index - w.first) * ROW}
              tabIndex={index === tabbed ? 0 : -1}
              open={(l) => {
                setActive(index);
                show(l);
              }}
            />
          ))}
        </div>
      </div>
      <Drawer
        opened={shown !== null}
        onClose={() => show(null)}
        position="right"
        size="lg"
        title={shown?.name || shown?.number}
        styles={{ title: { fontWeight: 600, fontSize: "1.15rem" }, body: { paddingTop: 16 } }}
        closeButtonProps={{ "aria-label": "Close" }}
      >
        {shown && <LeadPanel campaign={campaign} lead={shown} close={() => show(null)} />}
      </Drawer>
    </Paper>
  );
}

/** Where a key leads from a row; undefined: nowhere. */
function destination(key: string, from: number, rows: number, page: number): number | undefined {
  const to = {
    ArrowDown: from + 1,
    ArrowUp: from - 1,
    PageDown: from + page,
    PageUp: from - page,
    Home: 0,
    End: rows - 1,
  }[key];
  return to === undefined ? undefined : Math.max(0, Math.min(rows - 1, to));
}

const heads = [
  { label: "Person" },
  { label: "State" },
  { label: "Last call", wide: true },
  { label: "Next call", wide: true },
];

function Heads() {
  return (
    // biome-ignore lint/a11y/useSemanticElements: see above
    <div role="rowgroup" className={css.heads}>
      {/* biome-ignore lint/a11y/useSemanticElements: see above */}
      {/* biome-ignore lint/a11y/useFocusableInteractive: nothing can be done with it */}
      <div role="row" aria-rowindex={1} className={css.columns}>
        {heads.map((h) => (
          // biome-ignore lint/a11y/useSemanticElements: see above
          // biome-ignore lint/a11y/useFocusableInteractive: nothing can be done with it
          <div key={h.label} role="columnheader" className={h.wide ? css.wide : undefined}>
            {h.label}
          </div>
        ))}
      </div>
    </div>
  );
}

type RowProps = { lead: Lead | undefined; index: number; top: number; tabIndex: number; open: (l: Lead) => void };

function LeadRow({ lead: l, index, top, tabIndex, open }: RowProps) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: see above
    // biome-ignore lint/a11y/useFocusableInteractive: the button in it is focused
    <div
      role="row"
      aria-rowindex={index + 2}
      data-index={index}
      aria-busy={!l || undefined}
      className={`${css.columns} ${css.person}`}
      style={{ top, height: ROW }}
    >
      {/* biome-ignore lint/a11y/useSemanticElements: see above */}
      {/* biome-ignore lint/a11y/useFocusableInteractive: the button in it is focused */}
      <div role="rowheader">
        {l ? (
          <button type="button" className={css.open} tabIndex={tabIndex} onClick={() => open(l)}>
            {l.name || l.number}
          </button>
        ) : (
          <Skeleton height={12} width="60%" />
        )}
        {l?.name && (
          <Text size="xs" c="dimmed" className="num">
            {l.number}
          </Text>
        )}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: see above */}
      {/* biome-ignore lint/a11y/useFocusableInteractive: nothing can be done with it */}
      <div role="gridcell">
        {l && (
          <Badge color={l.state === "do_not_call" ? "red" : l.state === "done" ? "pine" : "gray"}>
            {leadStateName(l.state)}
          </Badge>
        )}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: see above */}
      {/* biome-ignore lint/a11y/useFocusableInteractive: nothing can be done with it */}
      <div role="gridcell" className={css.wide}>
        {l && <Text size="sm">{l.outcome ? outcomeName(l.outcome) : "–"}</Text>}
        {l && l.attempts > 0 && (
          <Text size="xs" c="dimmed">
            {count(l.attempts, "attempt", "attempts")}
          </Text>
        )}
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: see above */}
      {/* biome-ignore lint/a11y/useFocusableInteractive: nothing can be done with it */}
      <div role="gridcell" className={css.wide}>
        {l && <Text size="sm">{nextCall(l)}</Text>}
      </div>
    </div>
  );
}

function nextCall(l: Lead): string {
  if (!l.dueAt) return "–";
  return new Date(l.dueAt).getTime() <= Date.now() ? "When it is their turn" : when(l.dueAt);
}
