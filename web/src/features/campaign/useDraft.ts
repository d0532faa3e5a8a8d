import { type UseFormReturnType, useForm } from "@mantine/form";
import { useQueryClient } from "@tanstack/react-query";
import { useCallback, useEffect, useRef, useState } from "react";
import { ApiError, formErrors, messageOf, type Tagged } from "../../api/client";
import type { Campaign } from "../../api/types";
import { difference } from "../../ui/diff";
import { unlessChanged } from "../../ui/Editing";
import { Cancelled } from "../../ui/notify";
import { changeCampaign, readCampaign } from "./api";
import { changes, type DraftValues, draftOf, wrong } from "./draft";

export type DraftForm = UseFormReturnType<DraftValues>;
export type Saving = { state: "saved" | "dirty" | "saving" | "wrong" | "failed"; says?: string };

/** How long after the last key a draft is saved. */
const SAVE_AFTER = 700;

/** A campaign that is being edited. A draft is saved as one goes; one that began, when its person says so. */
export function useDraft(begun: Tagged<Campaign>, auto: boolean) {
  const queries = useQueryClient();
  const id = begun.value.id;
  const base = useRef(draftOf(begun.value));
  const tag = useRef(begun.tag);
  const [saving, setSaving] = useState<Saving>({ state: "saved" });
  const timer = useRef<number>(undefined);
  const running = useRef<Promise<boolean> | null>(null);
  const save = useRef<() => Promise<boolean>>(async () => true);
  const form = useForm<DraftValues>({
    initialValues: base.current,
    onValuesChange: () => {
      setSaving({ state: "dirty" });
      window.clearTimeout(timer.current);
      if (auto) timer.current = window.setTimeout(() => void save.current(), SAVE_AFTER);
    },
  });
  const values = useRef(form.values);
  values.current = form.values;

  const take = useCallback(
    (theirs: Tagged<Campaign>) => {
      base.current = draftOf(theirs.value);
      tag.current = theirs.tag;
      form.setValues(base.current);
    },
    [form.setValues],
  );

  const once = async (): Promise<boolean> => {
    window.clearTimeout(timer.current);
    const now = values.current;
    const mine = changes(base.current, now);
    if (Object.keys(mine).length === 0) {
      setSaving({ state: "saved" });
      return true;
    }
    const bad = wrong(now);
    if (Object.keys(bad).length > 0) {
      form.setErrors(bad);
      setSaving({ state: "wrong", says: "Not saved yet: something is missing." });
      return false;
    }
    setSaving({ state: "saving" });
    try {
      await unlessChanged({
        tag: tag.current,
        write: (t) => changeCampaign(id, t, mine),
        read: readCampaign(id),
        differ: (theirs) => difference(part(draftOf(theirs), mine), part(now, mine)),
        take,
      });
      tag.current = (await readCampaign(id)()).tag;
      base.current = { name: now.name, settings: { ...base.current.settings, ...now.settings } };
    } catch (e) {
      if (e instanceof Cancelled) {
        setSaving({ state: "saved" });
        return false;
      }
      const fields = formErrors(e);
      form.setErrors(fields);
      const atFields = e instanceof ApiError && Object.keys(fields).length > 0;
      setSaving({
        state: atFields ? "wrong" : "failed",
        says: `Not saved: ${Object.values(fields)[0] ?? messageOf(e)}`,
      });
      return false;
    }
    form.clearErrors();
    void queries.invalidateQueries({ queryKey: ["campaigns"] });
    const again = Object.keys(changes(base.current, values.current)).length > 0;
    setSaving({ state: again ? "dirty" : "saved" });
    return again ? once() : true;
  };
  // One after the other: a later save has what was typed during the one before.
  save.current = async () => {
    while (running.current) await running.current;
    running.current = once().finally(() => {
      running.current = null;
    });
    return running.current;
  };
  useEffect(
    () => () => {
      window.clearTimeout(timer.current);
      if (auto) void save.current();
    },
    [auto],
  );
  const discard = () => {
    form.setValues(base.current);
    form.clearErrors();
    setSaving({ state: "saved" });
  };
  return { form, saving, save: () => save.current(), discard };
}

/** Of a draft, what mine would write. */
function part(v: DraftValues, mine: ReturnType<typeof changes>) {
  const keys = Object.keys(mine.settings ?? {}) as (keyof DraftValues["settings"])[];
  return {
    ...(mine.name === undefined ? {} : { name: v.name }),
    ...Object.fromEntries(keys.map((k) => [k, v.settings[k]])),
  };
}
