import { Badge } from "@mantine/core";
import type { CampaignState } from "../../api/types";
import { stateColours, stateNames } from "./words";

export const StateBadge = ({ state }: { state: CampaignState }) => (
  <Badge color={stateColours[state]}>{stateNames[state]}</Badge>
);
