/** The version of the whole protocol; others are refused. */
export const inspectorProtocol = 1
