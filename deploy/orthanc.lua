-- Auto-routing: every mammography series goes to the node. What comes back is SEG and SR, so nothing goes in circles.
function OnStableSeries(seriesId, tags, metadata)
  if tags['Modality'] == 'MG' then
    SendToModality(seriesId, 'ftmtl')
  end
end
