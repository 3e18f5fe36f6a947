/** Words of the `flags` that a test shares with its registry workers; behind them a count of initialisations per name. */
export const FLAG = { go: 0, inside: 1, resume: 2, counts: 8 };
