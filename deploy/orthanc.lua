-- Auto-routing: every mammography series goes to the node. What comes back is SEG and SR, so nothing goes in circles.
-- It runs as a job of Orthanc's (/jobs): one that failed, because the node was down, is resubmitted by hand.
function OnStableSeries(seriesId, tags, metadata)
  if tags['Modality'] == 'MG' then
    RestApiPost('/modalities/ftmtl/store', '{"Resources": ["' .. seriesId .. '"], "Synchronous": false}')
  end
end
