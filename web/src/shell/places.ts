import {
  IconBuildingBroadcastTower,
  IconDeviceLandlinePhone,
  IconHeadset,
  IconHome2,
  IconPhoneCall,
  IconSettings,
  IconSparkles,
  IconSpeakerphone,
} from "@tabler/icons-react";
import { sections } from "../features/identity/sections";

/** Where one can go, the key that leads there, and the permissions of which one opens it. */
export const places = [
  { to: "/", label: "Overview", icon: IconHome2, key: "o", opens: ["call:read"] },
  { to: "/calls", label: "Calls", icon: IconPhoneCall, key: "c", opens: ["call:read"] },
  { to: "/agents", label: "Agents", icon: IconHeadset, key: "a", opens: ["agent:read"] },
  { to: "/campaigns", label: "Campaigns", icon: IconSpeakerphone, key: "d", opens: ["campaign:read"] },
  { to: "/models", label: "Models", icon: IconSparkles, key: "m", opens: ["model:read"] },
  { to: "/phones", label: "Phones", icon: IconDeviceLandlinePhone, key: "p", opens: ["phone:read"] },
  { to: "/trunks", label: "Trunks", icon: IconBuildingBroadcastTower, key: "t", opens: ["trunk:read"] },
  { to: "/settings", label: "Settings", icon: IconSettings, key: "s", opens: sections.map((x) => x.permission) },
] as const;
export type Place = (typeof places)[number];
