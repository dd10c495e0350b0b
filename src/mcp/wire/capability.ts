import { tasksExtension, type QuestionMethod } from './names.js'

/** Whether a request declares the extension. Every request declares it anew, and none is remembered (M-1). */
export function declaresTasks(capabilities: unknown): boolean {
  return (
    isObject(capabilities) &&
    isObject(capabilities['extensions']) &&
    isObject(capabilities['extensions'][tasksExtension])
  )
}

/** The capability that a client needs for each kind of question. */
const needed: Readonly<Record<QuestionMethod, string>> = {
  'elicitation/create': 'elicitation',
  'sampling/createMessage': 'sampling',
  'roots/list': 'roots',
}

/** The kinds of questions that a client supports, from its capabilities. */
export function questionsOf(capabilities: unknown): readonly QuestionMethod[] {
  if (!isObject(capabilities)) return []
  return (Object.keys(needed) as QuestionMethod[]).filter((method) => isObject(capabilities[needed[method]]))
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
