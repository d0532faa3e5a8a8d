import {
  IconCalendarMinus,
  IconCalendarPlus,
  IconCalendarTime,
  IconFlag,
  IconForms,
  IconHelpCircle,
  IconInfoCircle,
  IconMessage,
  IconPhoneOff,
  IconPhoneOutgoing,
  IconRepeat,
} from "@tabler/icons-react";
import type { FlowNodeData, FlowNodeType } from "../../api/types";

type Kind = { name: string; about: string; icon: typeof IconFlag; fresh: FlowNodeData };

/** The kinds of step, as the palette offers them. */
export const steps: Record<FlowNodeType, Kind> = {
  start: { name: "Start", about: "Where every call begins", icon: IconFlag, fresh: { text: "Welcome to {name}." } },
  say: { name: "Say", about: "Says something and goes on", icon: IconMessage, fresh: { text: "One moment, please." } },
  ask: {
    name: "Ask",
    about: "Asks, and goes on by what was meant",
    icon: IconHelpCircle,
    fresh: {
      text: "How can I help you?",
      intents: [{ id: "first", label: "first choice", phrases: ["first choice"], key: "1" }],
    },
  },
  collect: {
    name: "Collect",
    about: "Asks for a day, a time, digits, yes or no",
    icon: IconForms,
    fresh: {
      text: "Please enter your number, then press the hash key.",
      slot: "digits",
      variable: "number",
      confirm: true,
    },
  },
  book: { name: "Book", about: "Agrees on an appointment", icon: IconCalendarPlus, fresh: {} },
  move: { name: "Move", about: "Moves an appointment", icon: IconCalendarTime, fresh: {} },
  cancel: { name: "Cancel", about: "Cancels an appointment", icon: IconCalendarMinus, fresh: {} },
  info: { name: "Inform", about: "Opening hours, address or a fact", icon: IconInfoCircle, fresh: { topic: "hours" } },
  route: { name: "Route", about: "Puts the call through", icon: IconPhoneOutgoing, fresh: {} },
  repeat: { name: "Repeat", about: "Says the last words again", icon: IconRepeat, fresh: {} },
  hangup: { name: "Goodbye", about: "Says goodbye and ends", icon: IconPhoneOff, fresh: { text: "Goodbye." } },
};
