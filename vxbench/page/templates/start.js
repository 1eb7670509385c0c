for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
for (const figure of document.querySelectorAll("figure.curves")) makeLegend(figure);
makeGallery(document.getElementById("gallery-controls"), document.getElementById("gallery-maps"));
makeValues(
  document.getElementById("values-controls"),
  document.getElementById("values-table"),
  document.getElementById("values-count"),
);

// On paper the notes are open: they say what the numbers mean.
addEventListener("beforeprint", () => {
  for (const notes of document.querySelectorAll("section[id^='table-'] > details.notes")) notes.open = true;
});
